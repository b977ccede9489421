"""A table of prices gives the price of a GPU hour on the machines of a search; what is wrong in it is one line."""

from __future__ import annotations

import datetime

import pytest

from trainers.errors import UserError
from tuning.api.settings import Settings
from tuning.search.limits import prices
from tuning.study.spent import Price

TABLE = """\
as_of: 2026-11-20
currency: USD
market: spot
gpu_hour:
  A10: {on_demand: 0.90}
  A10G: {on_demand: 1.01, spot: 0.45}
  T4: {on_demand: 0.53, spot: 0.20}
"""


@pytest.fixture
def table(tmp_path):
    """Writes a table; returns its path."""

    def write(text: str = TABLE):
        path = tmp_path / "prices.yaml"
        path.write_text(text)
        return path

    return write


@pytest.mark.parametrize(
    ("market", "kinds", "price"),
    [
        ("spot", ["T4"], 0.20),
        ("on_demand", ["T4"], 0.53),
        ("spot", ["NVIDIA A10G"], 0.45),  # as nvidia-smi calls it; A10 is another
        ("on_demand", ["NVIDIA A10"], 0.90),
        ("spot", ["T4", "A10G", "T4"], 0.45),  # the dearest: never too low
        ("spot", [""], 0.45),  # of machines that are still to come
    ],
)
def test_a_gpu_hour_costs_what_its_kind_does_in_the_market(table, market, kinds, price):
    assert prices.read(table(TABLE.replace("spot\ngpu", f"{market}\ngpu"))).of(kinds) == Price(price)


@pytest.mark.parametrize(
    ("kind", "said"),
    [("H100", "no spot price of H100 (it has A10G, T4)"), ("A10", "no spot price of A10 (it has A10G, T4)")],
)
def test_a_kind_without_a_price_is_refused(table, kind, said):
    with pytest.raises(UserError) as error:
        prices.read(table()).of([kind])
    assert said in str(error.value)


def test_the_date_is_told_and_that_it_is_long_ago(table):
    found = prices.read(table())
    assert (
        found.line(Price(0.45), datetime.date(2026, 12, 1)) == "0.45 USD a GPU hour, spot, as of 2026-11-20"
    )
    assert "103 days old" in found.line(Price(0.45), datetime.date(2027, 3, 3))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[", "is not YAML"),
        ("", "the file: Input should be"),
        (TABLE.replace("as_of: 2026-11-20\n", ""), "as_of: Field required"),
        (TABLE.replace("market: spot", "market: black"), "market: Input should be 'on_demand' or 'spot'"),
        (TABLE.replace("spot: 0.20", "spot: -1"), "gpu_hour.T4.spot: Input should be greater than 0"),
        (TABLE.replace("T4: {on", "T4: {now: 1, on"), "gpu_hour.T4.now: Extra inputs"),
        (TABLE + "store_gb: {received: -1}", "store_gb.received: Input should be greater than or equal to 0"),
    ],
)
def test_a_wrong_table_is_one_line_that_names_the_field(table, text, said):
    with pytest.raises(UserError) as error:
        Settings(space="mobilenet", prices=table(text), cost=10)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_file_and_two_prices_are_refused(table, tmp_path):
    with pytest.raises(UserError, match=r"no\.yaml: cannot be read \(No such file"):
        Settings(space="mobilenet", prices=tmp_path / "no.yaml")
    with pytest.raises(UserError, match="--prices and --price-per-gpu-hour: give one of them"):
        Settings(space="mobilenet", prices=table(), price_per_gpu_hour=1.0)


def test_a_table_may_have_the_price_of_what_goes_to_the_store_and_comes_from_it(table):
    found = prices.read(table(TABLE + "store_gb: {received: 0.09}"))
    assert (price := found.of(["T4"])) == Price(0.20, sent_gb=0.0, received_gb=0.09)
    assert "spot; 0 a GB to the store, 0.09 a GB from it, as of" in found.line(
        price, datetime.date(2026, 12, 1)
    )


def test_the_budget_counts_at_the_price_of_the_table(table):
    assert Settings(space="mobilenet", prices=table(), cost=9).budget.all_gpu_hours == pytest.approx(20)
