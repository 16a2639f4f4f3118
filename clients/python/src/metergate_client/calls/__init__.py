"""Every call of the client, as a pure function that gives what to send and how to read the answer.

Both clients are made of these functions and differ only in how they send.
"""
