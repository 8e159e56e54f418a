"""The store's memory: the only home of SQL. One room per kind of object, over one room that holds the connections."""
