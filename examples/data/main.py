"""Summarises a table with pandas; what it needs is locked in pylock.toml, so no resolver runs.

Lock again: `uv pip compile requirements.in --format pylock.toml -o pylock.toml --universal --python-version 3.11`
"""

import numpy as np
import pandas as pd

table = pd.DataFrame({"city": ["Oslo", "Rome", "Oslo", "Rome"], "degrees": np.array([-3.0, 11.0, 1.0, 13.0])})

for city, mean in table.groupby("city")["degrees"].mean().items():
    print(f"{city}: {mean:.1f}")
