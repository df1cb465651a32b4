"""`appliance status --watch`: one screen, drawn anew while somebody looks."""
