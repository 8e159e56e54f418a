"""Read a CSV of sales, keep it as a SQLite database, and report the regions' totals in the log."""

import csv
import sqlite3
import sys

import wallaroo
from dateutil import parser
from tabulate import tabulate

DATABASE = "sales.sqlite"


def rows(path: str) -> list[tuple[str, str, str, int, float]]:
    with open(path, newline="", encoding="utf-8") as file:
        return [
            (parser.parse(row["day"]).date().isoformat(), row["region"], row["product"], int(row["units"]), float(row["price"]))
            for row in csv.DictReader(file)
        ]


def main() -> None:
    top = wallaroo.task_args().get("top", 5) if wallaroo.in_task() else 5
    database = sqlite3.connect(DATABASE)
    database.execute("CREATE TABLE sales (day TEXT, region TEXT, product TEXT, units INTEGER, price REAL)")
    database.executemany("INSERT INTO sales VALUES (?, ?, ?, ?, ?)", rows("sales.csv"))
    database.commit()

    count, first, last = database.execute("SELECT COUNT(*), MIN(day), MAX(day) FROM sales").fetchone()
    print(f"{count} sales from {first} to {last}, kept in {DATABASE}", flush=True)

    totals = database.execute(
        "SELECT region, SUM(units), ROUND(SUM(units * price), 2) AS revenue FROM sales GROUP BY region ORDER BY revenue DESC LIMIT ?",
        (top,),
    )
    print(tabulate(totals.fetchall(), headers=["region", "units", "revenue"], floatfmt=".2f"))
    database.close()
    print("done", file=sys.stderr)


if __name__ == "__main__":
    main()
