def clean(texts: list[str]) -> list[int]:
    return [int(text) for text in texts if text.isdecimal()]


def total(numbers: list[int]) -> int:
    return sum(numbers)
