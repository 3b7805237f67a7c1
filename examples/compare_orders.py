"""What does the order of the requests cost, and what does the history bring?

python examples/compare_orders.py                # the bundled sample
python examples/compare_orders.py my_chats.json  # ShareGPT's schema
"""

import sys

import cachelab

common = ["engine=replay", "artifacts=[requests]"]  # all that a comparison needs
if len(sys.argv) > 1:
    common += ["dataset=sharegpt", f"dataset.path={sys.argv[1]}"]

with_history = cachelab.run("experiment=multi_turn", *common)
by_turn = cachelab.run("experiment=multi_turn", "order=by_turn", *common)
without_history = cachelab.run("experiment=single_turn", *common)

print(cachelab.compare(by_turn, with_history).verdict)
print(cachelab.compare(with_history, without_history))
