"""The prefix-cache hit rate of my own chats, and what is lost.

python examples/hit_rate.py                # the bundled sample
python examples/hit_rate.py my_chats.json  # ShareGPT's schema
"""

import sys

import cachelab

overrides = ["experiment=multi_turn", "filter=none", "engine=replay", "engine.num_blocks=2048"]
if len(sys.argv) > 1:
    overrides += ["dataset=sharegpt", f"dataset.path={sys.argv[1]}"]

result = cachelab.run(*overrides)

print(result.name)
print(f"hit rate, blocks:           {result.metrics['hit_rate/first_prefill']:.2%}")
print(f"with an unlimited cache:    {result.metrics['hit_rate/ideal']:.2%}")

print("\nshare of the prompt tokens:")
for name, share in result.metrics.items():
    if name.startswith("losses/"):
        print(f"  {name.removeprefix('losses/'):24}{share:8.2%}")

worst = result.requests.query("turn_index > 0 and outcome == 'completed'").copy()
worst["missed_blocks"] = worst["full_blocks"] - worst["hit_blocks"]
print("\nlater turns that miss most:")
print(worst.nlargest(5, "missed_blocks")[["request_id", "full_blocks", "hit_blocks"]].to_string(index=False))
print(f"\nall files are in {result.folder / 'artifacts'}")
