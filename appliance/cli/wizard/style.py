"""How the screens look, in 16 colours."""

# Bright backgrounds are none on the Linux console (console_codes(4)): what is marked has a plain one.
CSS = """
Screen { layout: vertical; }
#head { background: ansi_blue; color: ansi_white; text-style: bold; padding: 0 1; height: 1; }
#title { text-style: bold; padding: 1 2 0 2; height: auto; }
#about { padding: 0 2 1 2; height: auto; }
#field { height: auto; padding: 0 2; }
Input { border: solid ansi_blue; height: 3; padding: 0 1; background: ansi_default; }
OptionList { border: solid ansi_blue; height: auto; max-height: 12; background: ansi_default; color: ansi_default; }
OptionList > .option-list--option-highlighted, OptionList:focus > .option-list--option-highlighted {
    background: ansi_cyan; color: ansi_black; text-style: none;
}
#text { border: solid ansi_blue; height: 1fr; margin: 0 2; padding: 0 1; }
#code { padding: 0 2; height: auto; width: auto; }
#said { padding: 0 2; height: auto; min-height: 1; }
#said.bad { color: ansi_red; text-style: bold; }
#said.good { color: ansi_green; }
#keys { dock: bottom; background: ansi_blue; color: ansi_white; height: 1; padding: 0 1; }
"""
