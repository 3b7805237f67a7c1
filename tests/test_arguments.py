import pytest

from cachelab.arguments import hydra_arguments
from cachelab.errors import ConfigError


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["multi_turn"], "multi_turn: settings are key=value: did you mean experiment=multi_turn?"),
        (["by_turn"], "by_turn: settings are key=value: did you mean order=by_turn?"),
        (["mult_turn"], "mult_turn: settings are key=value: did you mean experiment=multi_turn?"),
        (["compar"], "compar: settings are key=value: did you mean compare?"),
        (["qqqqqq"], "qqqqqq: settings are key=value: see python -m cachelab --help"),
        (["a=", "3"], "a= 3: write it without the blank: a=3"),
        (["--engine=replay"], "--engine=replay: there is no such option: did you mean engine=replay?"),
        (["--qqqq"], "--qqqq: there is no such option: see python -m cachelab --help"),
        (["price=null"], "price=null: this names no option: choose one (price=OPTION), or leave it out"),
        (["trace=[1]"], "trace=[1]: trace takes the name of one option: choose multi_turn, single_turn"),
        (["+trace=1"], "+trace=1: trace takes the name of one option: choose multi_turn, single_turn"),
        (["trace=[single_turn]"], "trace=[single_turn]: trace takes the name of one option: write trace=single_turn"),
        (
            ["engine@engine.real=[cpu,server]"],
            "engine@engine.real=[cpu,server]: engine@engine.real takes the name of one option: write "
            "engine@engine.real=cpu, or --multirun engine@engine.real=cpu,server to run each",
        ),
        (["metrics=[1]"], "metrics=[1]: metrics takes the name of one option: choose default"),
    ],
)
def test_wrong_argument_is_one_line(arguments: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        hydra_arguments(arguments)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "arguments",
    [
        ["-m", "a=1,2"],
        ["--cfg", "job"],
        ["--info", "defaults"],
        ["~price"],
        ["--shell-completion", "query=bash"],
        [],
        ["metrics=[default,mine]"],
        ["-m", "trace=multi_turn,single_turn"],
        ["hydra/callbacks=[sweep]"],
        ["engine={a: 1}"],
        ["trace=["],
        ["artifacts=[requests]"],
    ],
)
def test_arguments_of_hydra_pass_unchanged(arguments: list[str]) -> None:
    assert hydra_arguments(arguments) == arguments
