"""The database: connections and transactions, the tables, and the migrations that make them.

Importing this package loads nothing; its modules load SQLAlchemy.
"""
