"""Turns files into usage events: reads rows, maps their columns, makes ids, sends, and sets aside what is bad.

Reading, mapping and ids are pure; `sender.py` speaks to the server, `rejected.py` writes the file beside the input.
"""
