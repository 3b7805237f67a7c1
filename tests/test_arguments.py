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
    ],
)
def test_wrong_argument_is_one_line(arguments: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        hydra_arguments(arguments)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "arguments",
    [["-m", "a=1,2"], ["--cfg", "job"], ["--info", "defaults"], ["~price"], ["--shell-completion", "query=bash"], []],
)
def test_arguments_of_hydra_pass_unchanged(arguments: list[str]) -> None:
    assert hydra_arguments(arguments) == arguments
