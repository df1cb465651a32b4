"""The wizard without its screens: what is asked, what an answer may be, and the appliance.yaml that follows."""
