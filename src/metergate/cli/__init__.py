"""The `metergate` command: one module per group of commands, collected in `main.py`."""
