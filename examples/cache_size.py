"""How large should the cache be?

python examples/cache_size.py                # the bundled sample
python examples/cache_size.py my_chats.json  # ShareGPT's schema
"""

import sys

import cachelab

overrides = ["experiment=capacity"]  # one pass gives the exact hit rate at every cache size
if len(sys.argv) > 1:
    overrides += ["dataset=sharegpt", f"dataset.path={sys.argv[1]}"]

result = cachelab.run(*overrides)
metrics = result.metrics

print(f"with an unlimited cache {metrics['hit_rate/ideal']:.2%} of the full prompt blocks are hits")
for name, meaning in (("knee", "within one point of that"), ("enough", "exactly that")):
    blocks = metrics[f"capacity/{name}_blocks"]
    print(f"{meaning} needs {blocks:,.0f} blocks")
print(f"for the default model the knee is {metrics['capacity/knee_gib']:.2f} GiB of KV cache")

rows = result.capacity.iloc[::12]
print("\nhit rate of an LRU cache by size:")
print(rows[["blocks", "gib", "lru_block_rate"]].to_string(index=False))

result.figures["capacity"].savefig("capacity.png")
print("\nthe whole curve is in capacity.png")
