"""Makes a tree of text files, the same every time: text_tree.py DIR COUNT.

1 to 64 KiB each, most of them small, 20 in a directory, with times in the past.
"""

import os
import random
import sys

top, count = sys.argv[1], int(sys.argv[2])
dice = random.Random(4)
words = ["".join(dice.choices("etaoinshrdlu", k=dice.randint(1, 9))) for _ in range(500)]
for number in range(count):
    directory = os.path.join(top, f"d{number // 20:03}")
    os.makedirs(directory, exist_ok=True)
    path = os.path.join(directory, f"file-{number:04}.txt")
    size = int(1024 * 64 ** (dice.random() ** 2))
    lines, length = [], 0
    while length < size:
        lines.append(" ".join(dice.choices(words, k=dice.randint(1, 12))))
        length += len(lines[-1]) + 1
    with open(path, "w") as file:
        file.write("\n".join(lines) + "\n")
    when = 1_500_000_000_000_000_000 + dice.randrange(200_000_000_000_000_000)
    os.utime(path, ns=(when, when))
for directory, _, _ in os.walk(top, topdown=False):
    os.utime(directory, ns=(1_600_000_000_123_456_789,) * 2)
