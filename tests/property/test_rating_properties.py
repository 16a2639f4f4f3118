"""Laws of prices, invoices and credit notes. The oracles are fractions, which know no rounding at all."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from math import ceil, floor

from hypothesis import assume, given
from hypothesis import strategies as st

from metergate.domain import money
from metergate.domain.credit import credit, lines_for
from metergate.domain.errors import MetergateError, Reason
from metergate.domain.invoice import CreditLine, CreditNote, Invoice, InvoiceState, Line, LineKind
from metergate.domain.meter import LatePolicy
from metergate.domain.offer import Coupon, TaxRate
from metergate.domain.period import DAY, Window
from metergate.domain.price import METERED, TIERED, Model, Price, Tier
from metergate.domain.quantity import CONTEXT, ZERO
from metergate.domain.rating import Rated, contradictions, exact, flat, prorated, rate
from metergate.domain.totals import totals
from metergate.domain.usage_lines import Labels, late_lines, usage_lines

MARCH = Window(0, 31 * DAY)
currencies = st.sampled_from(["USD", "JPY", "KWD"])
amounts = st.decimals(ZERO, Decimal(1000), places=12) | st.sampled_from([ZERO, Decimal("0.0000025"), Decimal("0.01")])
counts = st.integers(0, 200).map(Decimal) | st.decimals(ZERO, Decimal(200), places=3)
huge = st.decimals(ZERO, Decimal("999999999999999999.999999999999"), places=12)
ANY_METERED = st.sampled_from(sorted(METERED))
sizes = st.decimals(Decimal("0.001"), Decimal(50), places=3)


@st.composite
def tiers(draw: st.DrawFn) -> tuple[Tier, ...]:
    bounds = sorted(draw(st.sets(st.integers(1, 150), max_size=4)))
    ends = [Decimal(bound) for bound in bounds]
    return tuple([Tier(end, draw(amounts), draw(st.just(ZERO) | amounts)) for end in [*ends, None]])


@st.composite
def prices(draw: st.DrawFn, models: st.SearchStrategy[Model] = ANY_METERED) -> Price:
    """A valid metered price."""
    model = draw(models)
    price = Price("p", model, draw(currencies), meter="m")
    if model in TIERED:
        return replace(price, tiers=draw(tiers()))
    price = replace(price, included=draw(st.just(ZERO) | counts))
    if model is Model.PERCENT:
        return replace(price, percent=draw(st.decimals(ZERO, Decimal(100), places=10)))
    size = draw(sizes) if model is Model.PACKAGE else price.package_size
    return replace(price, unit_amount=draw(amounts), package_size=size)


def half_up(amount: Fraction) -> int:
    """The law of rounding, mirrored for negatives."""
    return floor(amount + Fraction(1, 2)) if amount >= 0 else -floor(-amount + Fraction(1, 2))


def minor(amount: Fraction, currency: str) -> int:
    return half_up(amount * 10 ** money.places(currency))


def cost(price: Price, quantity: Decimal) -> Fraction:
    """What a quantity costs, told another way: of tiers, which part of [0, q] lies under each."""
    q = Fraction(quantity)
    beyond = max(q - Fraction(price.included), Fraction(0))
    if price.model is Model.UNIT:
        return beyond * Fraction(price.unit_amount)
    if price.model is Model.PACKAGE:
        return ceil(beyond / Fraction(price.package_size)) * Fraction(price.unit_amount)
    if price.model is Model.PERCENT:
        return beyond * Fraction(price.percent) / 100
    ends = [q if tier.up_to is None else Fraction(tier.up_to) for tier in price.tiers]
    reached = [place for place, start in enumerate([Fraction(0), *ends[:-1]]) if q > start]
    if price.model is Model.VOLUME:
        last = [price.tiers[place] for place in reached[-1:]]
        return sum((q * Fraction(tier.unit_amount) + Fraction(tier.flat_amount) for tier in last), Fraction(0))
    total = Fraction(0)
    for place in reached:
        start = ends[place - 1] if place else Fraction(0)
        units = min(q, ends[place]) - start
        total += units * Fraction(price.tiers[place].unit_amount) + Fraction(price.tiers[place].flat_amount)
    return total


@given(prices(), counts | huge)
def test_p7_a_quantity_costs_what_fractions_say(price: Price, quantity: Decimal) -> None:
    assert list(contradictions(price, "p")) == []
    assert Fraction(exact(price, quantity)) == cost(price, quantity)


@given(prices(), counts | huge)
def test_p7_each_line_is_its_quantity_at_its_price_rounded_once(price: Price, quantity: Decimal) -> None:
    lines = rate(price, quantity)
    for line in lines:
        shown = Fraction(line.quantity) * Fraction(line.unit_amount or 0) + Fraction(line.flat_amount or 0)
        assert line.amount == minor(shown, price.currency)
    whole = cost(price, quantity) * 10 ** money.places(price.currency)
    assert abs(sum(line.amount for line in lines) - whole) <= Fraction(len(lines), 2)


@given(prices(), counts)
def test_p7_a_negative_quantity_is_the_mirror_image(price: Price, quantity: Decimal) -> None:
    mirrored = [
        Rated(line.tier, -line.quantity, line.unit_amount, line.flat_amount and -line.flat_amount, -line.amount)
        for line in rate(price, quantity)
    ]
    assert rate(price, -quantity) == mirrored


@given(prices(st.sampled_from(sorted(METERED - {Model.VOLUME}))), counts, counts)
def test_more_never_costs_less_but_by_volume(price: Price, one: Decimal, other: Decimal) -> None:
    less, more = sorted([one, other])
    assert exact(price, less) <= exact(price, more)
    charged = [sum(line.amount for line in rate(price, quantity)) for quantity in (less, more)]
    assert charged[0] <= charged[1]


@given(prices(st.just(Model.GRADUATED)), sizes)
def test_a_graduated_price_goes_on_over_the_edge_of_a_tier_without_a_jump(price: Price, step: Decimal) -> None:
    """But for the flat amount of the tier that begins there."""
    for tier, following in zip(price.tiers, price.tiers[1:], strict=False):
        assert tier.up_to is not None
        small = step / 1000
        over = CONTEXT.subtract(exact(price, tier.up_to + small), exact(price, tier.up_to))
        assert over == CONTEXT.add(CONTEXT.multiply(small, following.unit_amount), following.flat_amount)
        under = CONTEXT.subtract(exact(price, tier.up_to), exact(price, tier.up_to - small))
        assert under == CONTEXT.multiply(small, tier.unit_amount)


@given(st.decimals(Decimal(-(10**6)), Decimal(10**6), places=12), currencies)
def test_p7_rounding_is_half_up_and_mirrored(amount: Decimal, currency: str) -> None:
    assert money.rounded(amount, currency) == minor(Fraction(amount), currency)
    assert money.rounded(-amount, currency) == -money.rounded(amount, currency)


@given(st.integers(-(10**20), 10**20), st.integers(-(10**15), 10**15), st.integers(1, 10**15))
def test_p7_a_share_is_rounded_half_up_and_mirrored(amount: int, part: int, whole: int) -> None:
    assert money.rounded_share(amount, part, whole) == half_up(Fraction(amount * part, whole))


@given(amounts, counts, st.lists(st.integers(0, 10**6), min_size=1, max_size=6), currencies)
def test_p7_a_period_in_pieces_costs_the_whole_to_a_minor_unit_a_piece(
    amount: Decimal, times: Decimal, pieces: list[int], currency: str
) -> None:
    assume(sum(pieces))
    price = Price("base", Model.FLAT, currency, unit_amount=amount)
    whole = Fraction(amount) * Fraction(times) * 10 ** money.places(currency)
    shares = [flat(price, times, piece, sum(pieces)) for piece in pieces]
    assert shares == [half_up(whole * Fraction(piece, sum(pieces))) for piece in pieces]
    assert abs(sum(shares) - flat(price, times)) <= len(pieces)
    assert prorated(amount, currency, 1, 1) == money.rounded(amount, currency)


@given(st.integers(0, 10**12), st.lists(st.integers(0, 10**6), max_size=10))
def test_p7_what_is_spread_loses_nothing_and_nobody_gets_a_whole_unit_too_much(amount: int, weights: list[int]) -> None:
    assume(sum(weights) or not amount)
    shares = money.spread(amount, weights)
    assert sum(shares) == amount
    for share, weight in zip(shares, weights, strict=True):
        assert abs(share - Fraction(amount * weight, sum(weights) or 1)) < 1
        assert share <= weight or amount > sum(weights)


@given(st.integers(-(10**18), 10**18), currencies)
def test_p7_an_amount_that_is_written_is_read_again(amount: int, currency: str) -> None:
    assert money.parse_amount(money.to_text(amount, currency), currency, "amount") == amount


labels: st.SearchStrategy[Labels] = st.sampled_from([(), (("model", "a"),), (("model", "b"),)])
quantities = st.dictionaries(labels, counts | counts.map(lambda count: -count), max_size=3)
bounds = st.none() | st.integers(0, 5000).map(Decimal)
held = st.sampled_from([(1, 1), (1, 3), (17 * DAY, 31 * DAY)])


@st.composite
def bounded(draw: st.DrawFn) -> Price:
    """A price that may have a minimum and a maximum."""
    least, most = draw(bounds), draw(bounds)
    if least is not None and most is not None and least > most:
        least, most = most, least
    return replace(draw(prices()), minimum=least, maximum=most)


def charged(lines: list[Line]) -> int:
    return sum(line.amount for line in lines)


@given(bounded(), quantities, held)
def test_p7_usage_lines_are_the_rates_of_each_label_value_within_minimum_and_maximum(
    price: Price, counted: dict[Labels, Decimal], held: tuple[int, int]
) -> None:
    lines = usage_lines(price, "pro", 1, MARCH, list(counted.items()), held)
    rates = sum(part.amount for quantity in counted.values() for part in rate(price, quantity))
    assert charged([line for line in lines if line.kind is LineKind.USAGE]) == rates
    least = rates if price.minimum is None else prorated(price.minimum, price.currency, *held)
    most = rates if price.maximum is None else prorated(price.maximum, price.currency, *held)
    expected = least if rates < least else min(rates, most)
    assert charged(lines) == expected


def billed(lines: list[Line], of: Labels) -> Decimal:
    """What these lines say of usage, as anybody would read them."""
    mine = [line for line in lines if line.labels == of]
    first = sum((line.billed or ZERO for line in mine if line.kind is LineKind.USAGE), ZERO)
    late = sum((line.quantity or ZERO for line in mine if line.kind is LineKind.LATE), ZERO)
    return first + late


def unbilled(lines: list[Line], of: Labels) -> Decimal:
    mine = [line for line in lines if line.labels == of and line.kind is LineKind.UNBILLED]
    return sum((line.quantity or ZERO for line in mine), ZERO)


@given(bounded(), st.lists(quantities, min_size=2, max_size=5), held, st.data())
def test_p6_late_lines_are_rate_of_all_less_rate_of_billed(
    price: Price, times: list[dict[Labels, Decimal]], held: tuple[int, int], data: st.DataObject
) -> None:
    """Whatever comes and goes, all lines together are what one invoice of it all would have been."""
    said = usage_lines(price, "pro", 1, MARCH, list(times[0].items()), held)
    for counted in times[1:]:
        before = {of: billed(said, of) for of in {line.labels for line in said} | set(counted)}
        policy = data.draw(st.sampled_from([LatePolicy.NEXT_INVOICE, LatePolicy.REOPEN_DRAFT]))
        late = late_lines(price, "pro", 1, MARCH, list(counted.items()), said, [], policy, held)
        for line in late:
            if line.kind is LineKind.LATE:
                now = counted.get(line.labels, ZERO)
                whole, known = rate(price, now), rate(price, before[line.labels])
                assert line.quantity == now - before[line.labels]
                assert line.amount == sum(part.amount for part in whole) - sum(part.amount for part in known)
        said += late
        assert charged(said) == charged(usage_lines(price, "pro", 1, MARCH, list(counted.items()), held))
        assert all(billed(said, of) == counted.get(of, ZERO) for of in before)
        assert late_lines(price, "pro", 1, MARCH, list(counted.items()), said, [], policy, held) == []


@given(bounded(), st.lists(quantities, min_size=2, max_size=5), st.sampled_from(["", "trial"]), st.data())
def test_p6_billed_and_declared_unbilled_are_the_ledger(
    price: Price, times: list[dict[Labels, Decimal]], why: str, data: st.DataObject
) -> None:
    """Under any policy, which may change, in trials and out of them."""
    said = usage_lines(price, "pro", 1, MARCH, list(times[0].items()), (1, 1), why)
    for counted in times[1:]:
        policy = data.draw(st.sampled_from(LatePolicy))
        said += late_lines(price, "pro", 1, MARCH, list(counted.items()), said, [], policy, (1, 1), why)
        for of in {line.labels for line in said} | set(counted):
            assert billed(said, of) + unbilled(said, of) == counted.get(of, ZERO)
        if why:
            assert not any(line.amount or billed(said, line.labels) for line in said)


kinds = st.sampled_from([LineKind.FLAT, LineKind.USAGE, LineKind.PRORATION, LineKind.LATE, LineKind.CARRIED])
windows = st.sampled_from([MARCH, Window(31 * DAY, 61 * DAY)])
percents = st.integers(0, 100).map(Decimal) | st.decimals(ZERO, Decimal(100), places=3)
coupons = st.builds(lambda percent: Coupon("c", percent=percent), percents) | st.builds(
    lambda amount: Coupon("c", amount=Decimal(amount), currency="USD"), st.integers(1, 300)
)
tax_rates = st.builds(TaxRate, st.sampled_from("xyz"), percents, inclusive=st.booleans())


@st.composite
def invoices(draw: st.DrawFn, least: int = -20_000) -> Invoice:
    """What `totals` makes of random lines."""
    each = st.builds(
        lambda kind, amount, window, price: Line(0, kind, "", amount, window, price=price),
        kinds, st.integers(least, 20_000), windows, st.sampled_from("ab"),
    )  # fmt: skip
    rates = draw(st.lists(tax_rates, max_size=3, unique_by=lambda rate: rate.name))
    sums = totals(draw(st.lists(each, max_size=6)), draw(st.lists(coupons, max_size=3)), rates, "USD")
    return Invoice(
        "in", "c", "s", "USD", MARCH, InvoiceState.OPEN, sums.lines, 1, sums.subtotal, sums.discount, sums.taxes,
        sums.total, 0,
    )  # fmt: skip


@given(invoices())
def test_p7_lines_sum_to_the_total(one: Invoice) -> None:
    assert one.subtotal == sum(line.amount for line in one.lines)
    assert one.discount == sum(line.discount for line in one.lines)
    on_top = sum(tax.amount for tax in one.taxes if not tax.inclusive)
    assert one.total == sum(line.amount - line.discount for line in one.lines) + on_top
    assert [line.number for line in one.lines] == list(range(1, len(one.lines) + 1))


@given(invoices())
def test_p7_discounts_are_within_the_lines_that_have_them(one: Invoice) -> None:
    assert all(0 <= line.discount <= max(line.amount, 0) for line in one.lines)
    assert all(not line.discount for line in one.lines if line.kind is LineKind.CARRIED)


@given(invoices())
def test_p7_each_tax_is_within_half_a_minor_unit_of_what_it_is(one: Invoice) -> None:
    within = sum((Fraction(tax.percent) for tax in one.taxes if tax.inclusive), Fraction(0))
    taxable = sum(line.amount - line.discount for line in one.lines if line.kind is not LineKind.CARRIED)
    for tax in one.taxes:
        assert tax.taxable == taxable
        assert tax.amount == half_up(taxable * Fraction(tax.percent) / (100 + within))


def note(one: Invoice, wanted: list[CreditLine] | None, before: list[CreditNote]) -> CreditNote:
    return CreditNote("cn", "CN-1", "in", "c", "USD", *credit(one, wanted, before), "", 0)


@given(invoices(least=-2_000))
def test_p6_the_credit_of_the_whole_is_exactly_the_invoice(one: Invoice) -> None:
    assume(one.total > 0)
    whole = credit(one, None, [])
    assert (whole.total, whole.taxes) == (one.total, one.taxes)


@given(invoices(least=0), st.data())
def test_p6_credit_notes_in_any_pieces_come_to_exactly_the_invoice(one: Invoice, data: st.DataObject) -> None:
    assume(one.total > 0)
    notes: list[CreditNote] = []
    for line in one.lines:
        rest = line.amount - line.discount
        while rest:
            piece = data.draw(st.integers(1, rest) if rest < 1000 else st.integers(rest // 3, rest))
            notes.append(note(one, [CreditLine(line.number, piece)], notes))
            rest -= piece
    assert sum(each.total for each in notes) == one.total
    for place, tax in enumerate(one.taxes):
        assert sum(each.taxes[place].amount for each in notes) == tax.amount


@given(invoices(), st.data())
def test_p6_credit_notes_never_pass_what_is_left(one: Invoice, data: st.DataObject) -> None:
    notes: list[CreditNote] = []
    refusals = {Reason.CREDIT_TOO_LARGE, Reason.FIELD_INVALID}
    for _ in range(4):
        try:
            if data.draw(st.booleans()):
                wanted = lines_for(one, data.draw(st.integers(1, 10_000)), notes)
            else:
                lines = st.builds(CreditLine, st.integers(1, 6), st.integers(-5_000, 20_000))
                wanted = data.draw(st.lists(lines, max_size=3))
            notes.append(note(one, wanted, notes))
        except MetergateError as refused:
            refusals.add(refused.reason)
    assert refusals == {Reason.CREDIT_TOO_LARGE, Reason.FIELD_INVALID}
    assert sum(each.total for each in notes) <= max(one.total, 0)
    assert all(each.total > 0 for each in notes)
    for line in one.lines:
        taken = sum(each.amount for given in notes for each in given.lines if each.line == line.number)
        charge = line.amount - line.discount
        assert min(charge, 0) <= taken <= max(charge, 0)
