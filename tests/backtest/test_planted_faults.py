"""A parity test that cannot fail shows nothing: one-line faults are planted in the step, one at a time, and each must be caught."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
MT5, REFERENCE, BIRTH, MOVES, ADVANCE, FINER, COSTS, GLIDE, MEMORY, PLAIN = (
    f"execution/{name}.py"
    for name in ("fill_mt5", "fill_reference", "birth", "moves", "advance", "finer", "costs", "glide", "memory", "plain_trades")
)
EXPOSURE = "risk/exposure.py"

FAULTS = {
    "market entries take the wrong side of the spread": (MT5, "(ask if side > 0 else bid) + side * slip", "(bid if side > 0 else ask) + side * slip"),
    "stop and limit entries trigger on bid alone": (MT5, "(ask_o, ask_h, ask_l) if side > 0 else (bid_o, bid_h, bid_l)", "(bid_o, bid_h, bid_l)"),
    "shorts leave on bid": (MT5, "    if p[b.P_SIDE] < 0:\n        o, h, low", "    if False:\n        o, h, low"),
    "a stop that was gapped fills at its level": (MT5, "price = o if at_open and (o - stop) * side < 0 else stop", "price = stop"),
    "a target that was gapped fills at its level": (MT5, "price = o if at_open and (o - target) * side > 0 else target", "price = target"),
    "ambiguity goes to the trader": (MT5, "if resolution == AGAINST:", "if resolution != AGAINST:"),
    "a stop entry's own bar spares its stop": (MT5, "sure_stop = can_stop if not is_stop_entry else end_stop", "sure_stop = can_stop = False"),
    "slippage helps": (MT5, "price - side * slip, digits), stop", "price + side * slip, digits), stop"),
    "the size is taken anew at the fill": (MT5, "open_position(t, s, o, price, o[b.O_LOTS],", "open_position(t, s, o, price, o[b.O_LOTS] * marks[s, 0] / price,"),
    "margin is not asked for": (MT5, "return units * price * rate * margin_rate / leverage <= free", "return True"),
    "an order lives one bar longer": (BIRTH, "- o[b.O_BORN_BAR] >= o[b.O_EXPIRY_BARS]", "- o[b.O_BORN_BAR] > o[b.O_EXPIRY_BARS]"),
    "size comes from balance instead of equity": (BIRTH, "marks[s, 2], account[b.A_EQUITY], s, specs", "marks[s, 2], account[b.A_BALANCE], s, specs"),
    "a reversal's entry is dropped while its exit works": (BIRTH, "if not is_closing(positions[s, k, b.P_TICKET], s, orders, counts, requests, n):\n            held", "if True:\n            held"),
    "a limit refuses nothing": ("risk/sizing.py", "return _REFUSED_RISK", "return 0"),
    "lots are rounded up": ("risk/sizing.py", "math.floor(lots / lot_step * (1.0 + 1e-9))", "math.ceil(lots / lot_step * (1.0 - 1e-9))"),
    "profit is not converted": (MOVES, "(price - entry) * rate\n", "(price - entry)\n"),
    "open shorts are valued at bid": (MOVES, "price = marks[s, 0] if on_bid or p[b.P_SIDE] > 0 else marks[s, 1]\n            total", "price = marks[s, 0]\n            total"),
    "the exit's commission is forgotten": (MOVES, "account[b.A_BALANCE] += profit - exit_cost", "account[b.A_BALANCE] += profit"),
    "reference: what gapped below a level fills at it": (REFERENCE, "return low <= level, min(o, level)", "return low <= level, level"),
    "reference: what gapped above a level fills at it": (REFERENCE, "return h >= level, max(o, level)", "return h >= level, level"),
    "reference: a short's stop is looked for below": (REFERENCE, "level_met(o, h, low, level, is_stop == (p[b.P_SIDE] > 0))", "level_met(o, h, low, level, is_stop)"),
    "reference: targets are met before stops": (REFERENCE, "account[b.A_FRONT_KEY] -= 1.0\n                p[b.P_STOP_KEY] = account[b.A_FRONT_KEY]", "account[b.A_BACK_KEY] += 1.0\n                p[b.P_STOP_KEY] = account[b.A_BACK_KEY]"),
    "swap has the wrong sign": (ADVANCE, "p[b.P_SWAP] += nights", "p[b.P_SWAP] -= nights"),
    "the triple night is a day late": (ADVANCE, "3 if weekday == triple else 1", "3 if weekday == triple + 1 else 1"),
    "the weekend is charged": (ADVANCE, "if weekday < SATURDAY:", "if True:"),
    "shorts pay what longs pay": (ADVANCE, "swap = specs[s, b.S_SWAP_LONG] if p[b.P_SIDE] > 0 else specs[s, b.S_SWAP_SHORT]", "swap = specs[s, b.S_SWAP_LONG]"),
    "a bank's year has 365 days": (ADVANCE, "BANK_YEAR = 360.0", "BANK_YEAR = 365.0"),
    "a part takes the whole swap": (MOVES, "swap = p[b.P_SWAP] * share", "swap = p[b.P_SWAP]"),
    "swap never reaches the balance": (MOVES, "profit - exit_cost + swap", "profit - exit_cost"),
    "swap of open positions is not in the equity": (MOVES, "price, marks[s, 2]) + p[b.P_SWAP]", "price, marks[s, 2])"),
    "the smallest loser goes first": (ADVANCE, "if profit < least:", "if -profit < least:"),
    "the margin call looks at the close alone": (ADVANCE, "worst = worst_equity(t, market, account, positions, counts, marks, specs)", "worst = account[b.A_EQUITY]"),
    "a margin call ends after one position": (ADVANCE, "margin = margin_used(positions, counts, marks, specs, account[b.A_LEVERAGE])", "margin = 0.0"),
    "a stop-out slips nothing": (ADVANCE, "market, marks) - side * slip, specs", "market, marks), specs"),
    "slippage is that of the row before": (ADVANCE, "slip = market.slip[t if market.slip.shape[0] > 1 else 0, s]", "slip = market.slip[t - 1 if market.slip.shape[0] > 1 else 0, s]"),
    "slippage by range knows the bar of the fill": (COSTS, "true_range[:-1], period", "true_range[1:], period"),
    "the first answer's events stay beside the finer ones": (ADVANCE, "    done = n\n    still = False", "    still = False"),
    "the book is not taken back before finer rows": (ADVANCE, "    copy_book(kept.account, kept.positions, kept.orders, kept.counts, kept.marks, Book(account, positions, orders, counts, marks))\n", ""),
    "the last finer row is left out": (ADVANCE, "range(finer.first[t], finer.first[t + 1])", "range(finer.first[t], finer.first[t + 1] - 1)"),
    "an unclear finer row is not counted": (ADVANCE, "    if still:\n", "    if False:\n"),
    "finer rows of another source are used": (FINER, "agrees[is_there] = np.logical_and.reduce(near)", "agrees[is_there] = True"),
    "positions that are being closed still hold a place": (EXPOSURE, "lots_after(p[b.P_TICKET], p[b.P_LOTS], orders[q], counts[q, 1], requests, asked)", "p[b.P_LOTS]"),
    "the currency that is owed is no exposure": (EXPOSURE, "net_base -= value", "net_base -= 0.0"),
    "only the last position's risk counts": (EXPOSURE, "risk += its_lots * unit * away", "risk = its_lots * unit * away"),
    "sums of money say whether the worst price is another one": (ADVANCE, "unsure = is_worst_elsewhere(t, market, positions, counts, marks)", "unsure = worst < account[b.A_EQUITY]"),
    "a quiet row leaves the swap out of the equity": (GLIDE, "equity[row] = balance + (units * (price - entry) * rate + swap)", "equity[row] = balance + units * (price - entry) * rate"),
    "a quiet row values a short at the bid": (GLIDE, "price = ask_of(close, spread) if on_ask else close", "price = close"),
    "a quiet row passes over the turn of the day": (GLIDE, "if (has_days and days[row] != today) or ", "if "),
    "a quiet row does not look at the margin level": (GLIDE, "margin * close * rate or not worst > 0.0", "-1e18 or not worst > 0.0"),
    "any position is safe from the margin call between its stop and its target": (GLIDE, "is_safe = not has_rates and least * (1.0 - NEAR) > margin * above * fixed_rate and least > 0.0", "is_safe = True"),
    "a quiet row does not look at the target": (GLIDE, "if low <= below or high >= above:", "if (low <= below if is_long else high >= above):"),
    "a quiet row passes over an exit wish": (GLIDE, "side.shape[0] > 1, out.shape[0] > 1", "side.shape[0] > 1, False"),
    "of eight rows the last one's wish is not seen": (MEMORY, "int(row) + 8, 0", "int(row) + 7, 0"),
    "a quiet row leaves old marks": (GLIDE, "    if t > first:\n        leave(t - 1, market, marks, policy)\n        mark(", "    if t > first:\n        mark("),
    "rows in which nothing is wished are counted one too far": (GLIDE, "        t += 8\n", "        t += 9\n"),
    "plain: a close that was asked for is forgotten": (PLAIN, "    if leaving != 0.0 and not at_open:", "    if False:"),
    "plain: a close goes before the stop that the open has passed": (PLAIN, "    if leaving != 0.0 and not at_open:", "    if leaving != 0.0:"),
    "plain: a close whose position is gone is not answered": (PLAIN, "if leaving != 0.0 and not is_asked:", "if False:"),
    "plain, reference: the stop goes before the close": (PLAIN, "        if leaving != 0.0:\n            return leaving, o", "        if leaving != 0.0 and not low <= stop:\n            return leaving, o"),
    "plain: shorts leave on bid": (PLAIN, "    if held < 0:\n        o, h, low", "    if False:\n        o, h, low"),
    "plain: the entry's own bar is not looked at": (PLAIN, "for _ in range(2):", "for _ in range(1):"),
    "plain: the exit's commission is forgotten": (PLAIN, "balance += gain - cost + swap", "balance += gain + swap"),
    "plain: swap never reaches the balance": (PLAIN, "balance += gain - cost + swap", "balance += gain - cost"),
    "plain: the entry's commission is forgotten": (PLAIN, "balance -= cost", "balance -= 0.0"),
    "plain: size comes from balance instead of equity": (PLAIN, "rate, worth, 0, specs", "rate, balance, 0, specs"),
    "plain: open shorts are valued at bid": (PLAIN, "entry, c if held > 0 else ask, rate", "entry, c, rate"),
    "plain: the margin level is not looked at": (PLAIN, "return not worst >= level_out", "return not worst >= -1e18 * level_out"),
    "plain: the margin level of a short is looked at on bid": (PLAIN, "low if held > 0 else ask_of(h, spread), rate", "low if held > 0 else h, rate"),
    "plain: events need no room": (PLAIN, "        if n > most or not is_of_day", "        if not is_of_day"),
    "plain: events of rows that follow each other need no room": (PLAIN, "                or n > most\n", ""),
    "plain: slippage is that of the first row": (PLAIN, "slip = market.slip[row if has_slips else zero, 0]", "slip = market.slip[zero, 0]"),
    "plain: money is converted at the first row's rate": (PLAIN, "market.rate[row if has_rates else zero, 0]", "market.rate[zero, 0]"),
    "plain: a position's bar of birth is that of its fill": (PLAIN, "new_born = float(side), next_ticket, float(bar)", "new_born = float(side), next_ticket, float(t)"),
    "plain: the day starts with the equity of the one before": (PLAIN, "today, day_start = day_after(t, market, worth, today, day_start)", "today, _ = day_after(t, market, worth, today, day_start)"),
    "plain: an account goes on without equity": (PLAIN, "if not worth > 0.0:", "if False:"),
    "plain: the turn of the day is passed over": (PLAIN, "market.day_id.shape[0] > 1 else 0] == today", "market.day_id.shape[0] > 1 else 0] >= 0"),
    "plain: ambiguous rows are not counted": (PLAIN, "tally[i] += 1", "tally[i] += 0"),
    "plain: an ambiguous row is forgotten when it is handed over": (PLAIN, "became = MATCHED_UNSURE if unsure else MATCHED", "became = MATCHED"),
    "plain: the book that is handed over has no place in the queue": (PLAIN, "p[b.P_TARGET_KEY] = stop_key, target_key", "p[b.P_TARGET_KEY] = np.nan, np.nan"),
    "plain: a second entry is let in": (PLAIN, "if side != 0 and (held == 0.0 or leaving != 0.0):", "if side != 0:"),
    "plain: a row before a hole in the bars is finished": (PLAIN, "or math.isnan(market.open[np.uint64(t), 0])", "or False"),
    "plain: a trailing stop is taken for plain": (PLAIN, " or not math.isnan(decisions.trail[0, 0])", ""),
    "plain: a limit entry is taken for plain": (PLAIN, " or decisions.entry[0, 0] != MARKET", ""),
    "plain: one position at a time, whatever is allowed": (PLAIN, "sizing[Z_MAX_POSITIONS] == 1.0 and ", ""),
    "plain: limits of the account are not asked": (PLAIN, " and not has_account_limits(limits)", ""),
    "reference: the entry's own bar is not looked at again": (REFERENCE, "again = again or reprocess", "again = False"),
}  # fmt: skip


@pytest.mark.slow
def test_every_planted_fault_is_caught_and_the_step_as_it_is_passes(tmp_path: Path) -> None:
    for name, (file, old, _) in FAULTS.items():
        assert (ROOT / "components" / file).read_text().count(old) >= 1, f"the place of {name!r} is gone from {file}; plant it where the rule is now"
    everything = [("no fault", None), *FAULTS.items()]
    count = min(4, os.cpu_count() or 1)
    with ThreadPoolExecutor(count) as pool:
        shares = list(pool.map(_verdicts, [dict(everything[i::count]) for i in range(count)], [tmp_path / str(i) for i in range(count)]))
    verdicts = {name: verdict for found, _ in shares for name, verdict in found.items()}
    said = "\n".join(text for _, text in shares)
    assert verdicts.pop("no fault") == 0, f"the checks fail on the step as it is: {said}"
    missed = {name: verdict for name, verdict in verdicts.items() if verdict != 1}
    assert not missed, f"not caught (0), or broken otherwise (2): {missed}\n{said}"
    assert set(verdicts) == set(FAULTS)


def _verdicts(share: dict[str, Any], folder: Path) -> tuple[dict[str, int], str]:
    """The verdict on each of some faults, planted one after another in a copy of their own; and the end of what was said."""
    shutil.copytree(ROOT / "components", folder / "components", ignore=shutil.ignore_patterns("__pycache__"))
    run = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("fault_runner.py")), str(folder)],
        input=json.dumps(share),
        capture_output=True,
        text=True,
        timeout=1_800,
        check=False,
        cwd=folder,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
    )
    assert run.returncode == 0, run.stderr[-4000:]
    found: dict[str, int] = json.loads(run.stdout)
    return found, run.stderr[-2000:]
