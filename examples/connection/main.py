"""Fetch the stock of a warehouse from where a connection says that it is, and write down what has to be ordered."""

import base64
import csv
import io
import urllib.request

import wallaroo

REPORT = "to-order.md"


def fetch(details: dict[str, str]) -> str:
    request = urllib.request.Request(details["url"])
    if "password" in details:
        credentials = f"{details['user']}:{details['password']}".encode()
        request.add_header("Authorization", f"Basic {base64.b64encode(credentials).decode()}")
    with urllib.request.urlopen(request) as answer:
        return str(answer.read().decode("utf-8"))


def main() -> None:
    wl = wallaroo.Client()
    connection = wl.get_connection(wl.task_args()["connection"])
    stock = list(csv.DictReader(io.StringIO(fetch(connection.details()))))
    missing = [(row["item"], int(row["wanted"]) - int(row["there"])) for row in stock if int(row["there"]) < int(row["wanted"])]

    with open(REPORT, "w", encoding="utf-8") as report:
        report.write("| item | to order |\n|---|---|\n")
        report.writelines(f"| {item} | {count} |\n" for item, count in missing)
    print(f"{len(stock)} items in {connection.name()}, {len(missing)} to order: see {REPORT}")


if __name__ == "__main__":
    main()
