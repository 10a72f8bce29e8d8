"""A logger of one's own: every iteration's numbers in an SQLite table."""

import sqlite3


class SQLiteLogger:
    """A callback: it is called with the model after every iteration, and reads ``model.logs``."""

    def __init__(self, path):
        self.connection = sqlite3.connect(path)
        self.connection.execute("CREATE TABLE IF NOT EXISTS progress (step INTEGER, name TEXT, value REAL)")

    def __call__(self, model):
        rows = [(model.num_timesteps, name, value) for name, value in model.logs.items()]
        with self.connection:  # all of them or none
            self.connection.executemany("INSERT INTO progress VALUES (?, ?, ?)", rows)

    def close(self):
        self.connection.close()
