"""Look-alikes of the Strategy Tester's files, with their quirks: UTF-16, unquoted attributes, no position numbers, five ways to say the same label."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

LABELS = {
    "en": "Expert|Symbol|Period|Inputs|Company|Currency|Initial Deposit|Leverage|History Quality|Bars|Ticks|Symbols|Total Net Profit|Balance Drawdown Absolute|"
    "Equity Drawdown Absolute|Gross Profit|Balance Drawdown Maximal|Equity Drawdown Maximal|Gross Loss|Balance Drawdown Relative|Equity Drawdown Relative|"
    "Profit Factor|Expected Payoff|Margin Level|Recovery Factor|Sharpe Ratio|Z-Score|AHPR|LR Correlation|OnTester result|GHPR|LR Standard Error|Total Trades|"
    "Short Trades (won %)|Long Trades (won %)|Total Deals|Profit Trades (% of total)|Loss Trades (% of total)|Largest profit trade|Largest loss trade|"
    "Average profit trade|Average loss trade|Maximum consecutive wins ($)|Maximum consecutive losses ($)|Maximal consecutive profit (count)|"
    "Maximal consecutive loss (count)|Average consecutive wins|Average consecutive losses|Correlation (Profits,MFE)|Correlation (Profits,MAE)|"
    "Correlation (MFE,MAE)|Minimal position holding time|Maximal position holding time|Average position holding time",
    "es": "Experto|Símbolo|Período|Parámetros de entrada|Corredor|Divisa|Depósito inicial|Apalancamiento|Calidad del historial|Barras|Ticks|Símbolos|Beneficio Neto|"
    "Reducción absoluta del balance|Reducción absoluta de la equidad|Beneficio Bruto|Reducción máxima del balance|Reducción máxima de la equidad|Pérdidas Brutas|"
    "Reducción relativa del balance|Reducción relativa de la equidad|Factor de Beneficio|Beneficio Esperado|Nivel de margen|Factor de Recuperación|"
    "Ratio de Sharpe|Z-Score|AHPR|LR Correlation|Resultado de OnTester|GHPR|LR Standard Error|Total de operaciones ejecutadas|Posiciones cortas (% rentables)|"
    "Posiciones largas (% rentables)|Total de transacciones|Posiciones rentables (% del total)|Posiciones no rentables (% del total)|La transacción rentable|"
    "La transacción no rentable|Promedio de transacción rentable|Promedio de transacción no rentable|El número máximo de ganancias consecutivas ($)|"
    "El número máximo de pérdidas consecutivas ($)|El máximo de beneficio consecutivo (número de ganancias)|"
    "El máximo de pérdidas consecutivas (número de pérdidas)|Promedio de ganancias consecutivas|Promedio de pérdidas consecutivas|Correlation (Profits,MFE)|"
    "Correlation (Profits,MAE)|Correlation (MFE,MAE)|Tiempo mínimo para retener la posición|Tiempo máximo para retener la posición|"
    "Tiempo medio para retener la posición",
    "pt": "Expert Advisor (Robô)|Ativo|Período|Parâmetros de entrada|Empresa|Moeda|Depósito Inicial|Alavancagem|Qualidade do histórico|Barras|Ticks|Ativos|"
    "Lucro Líquido Total|Rebaixamento Absoluto do Saldo |Rebaixamento Absoluto do Capital Líquido|Lucro Bruto|Rebaixamento Máximo do Saldo |"
    "Rebaixamento Máximo do Capital Líquido|Perda Bruta|Rebaixamento Relativo do Saldo |Rebaixamento Relativo do Capital Líquido|Fator de Lucro|"
    "Retorno Esperado (Payoff)|Nível de Margem|Fator de Recuperação|Índice de Sharpe|Z-Pontuação|AHPR|Correlação LR |Resultado OnTester|GHPR|Erro Padrão LR |"
    "Total de Negociações|Posições Vendidas (% e ganhos)|Posições Compradas (% de ganhos)|Ofertas Total|Negociações com Lucro (% of total)|"
    "Negociações com Perda (% of total)|Maior lucro da negociação|Maior perda na Negociação|Média lucro da negociação|Média perda na Negociação|"
    "Máximo ganhos consecutivos ($)|Máximo perdas consecutivas ($)|Máxima lucro consecutivo (contagem)|Máxima perda consecutiva (contagem)|"
    "Média ganhos consecutivos|Média perdas consecutivas|Correlação (Lucros,MFE)|Correlação (Lucros,MAE)|Correlação(MFE,MAE)|"
    "Tempo mínimo de duração da posição|Tempo máximo de duração da posição|Tempo médio de duração da posição",
    "zh": "专家|交易品种|期间|输入|公司|货币|初始入金|杠杆|质量历史|柱|报价|交易品种|总净盈利|绝对结余亏损|绝对净值亏损|毛利|最大结余亏损|最大净值亏损|毛损|相对结余亏损|相对净值亏损|"
    "盈利因子|预期收益|预付款维持率|采收率|夏普比率|分值|AHPR|LR 相关性|OnTester结果|GHPR|LR 标准误差|交易总计|卖出交易 (赢得 %)|买入交易 (赢得 %)|总成交|盈利交易 (% 全部)|"
    "亏损交易 (% 全部)|最大 获利交易|最大 亏损交易|平均 获利交易|平均 亏损交易|最大值 连胜 ($)|最大值 连败 ($)|极大值 连续获利 (count)|极大值 连续亏损 (count)|平均 连胜|平均 连败|"
    "相关性 (盈利, MFE)|相关性 (盈利, MAE)|相关性 (MFE,MAE)|最小持仓时间|最大持仓时间|平均持仓时间",
    # A language that nobody speaks, whose labels do not even end in a colon.
    "xx": "|".join(f"ϟ{n} Бла" for n in range(54)),
}
ORDER_HEADS = "Open Time|Order|Symbol|Type|Volume|Price|S / L|T / P|Time|State|Comment"
DEAL_HEADS = "Time|Deal|Symbol|Type|Direction|Volume|Price|Order|Commission|Swap|Profit|Balance|Comment"
# Rows of the page after the settings: places of labels, in rows of one to three.
HTML_ROWS = ((8,), *((n, n + 1, n + 2) for n in range(9, 30, 3)), (30, 31, None), *((n, n + 1, n + 2) for n in (32, 35)), *((n, n + 1) for n in range(38, 48, 2)),
             (48, 49, 50), (51, 52, 53))  # fmt: skip
SHEET_ROWS = (*HTML_ROWS[:9], (48, 49, 50), (51, 52, 53), *HTML_ROWS[9:16])


@dataclass(frozen=True)
class Fill:
    """A trade as the terminal made it; times are its wall clock in epoch milliseconds as if UTC, commissions negative where they cost."""

    entry_ms: int
    exit_ms: int | None
    side: int
    lots: float
    entry: float
    exit: float
    profit: float
    commission: float = 0.0
    exit_commission: float = 0.0
    swap: float = 0.0
    stop: float | None = None
    target: float | None = None
    comment: str = ""
    exit_comment: str = ""
    symbol: str = "EURUSD"


@dataclass(frozen=True)
class Tester:
    """A test: what its page says over the tables."""

    __test__ = False  # not one of pytest's

    deposit: float = 10_000.0
    currency: str = "USD"
    symbol: str = "EURUSD"
    period: str = "H1 (2017.04.19 - 2018.02.07)"
    expert: str = "Lookalike"
    inputs: tuple[str, ...] = ("=== Risk ===", "Lots=0.10", "Fast=10")
    start_ms: int = 1_492_560_000_000
    digits: int = 5


def deal_rows(fills: Sequence[Fill], test: Tester) -> tuple[list[list[Any]], list[list[Any]]]:
    """Rows of orders (11 cells) and of deals (13 cells, the position last), as the terminal lists them."""
    events: list[tuple[int, int, int, Fill]] = []
    for number, fill in enumerate(fills):
        events.append((fill.entry_ms, 1, number, fill))
        if fill.exit_ms is not None:
            events.append((max(fill.exit_ms, fill.entry_ms), 0 if fill.exit_ms > fill.entry_ms else 2, number, fill))
    events.sort(key=lambda event: event[:3])
    balance = test.deposit
    deals: list[list[Any]] = [[test.start_ms, 1, "", "balance", "", "", "", "", 0.0, 0.0, balance, balance, "", ""]]
    orders: list[list[Any]] = []
    position: dict[int, int] = {}
    for ticket, (at, phase, number, fill) in enumerate(events, 2):
        is_in = phase == 1
        position.setdefault(number, ticket)
        kind = "buy" if (fill.side > 0) == is_in else "sell"
        money = (fill.commission, 0.0, 0.0) if is_in else (fill.exit_commission, fill.swap, fill.profit)
        money = tuple(round(one, 2) for one in money)
        balance = round(balance + sum(money), 2)
        comment = fill.comment if is_in else fill.exit_comment
        price = fill.entry if is_in else fill.exit
        orders.append([at, ticket, fill.symbol, kind, fill.lots, fill.stop if is_in else None, fill.target if is_in else None, comment])
        deals.append([at, ticket, fill.symbol, kind, "in" if is_in else "out", fill.lots, price, ticket, *money, balance, comment, position[number]])
    return orders, deals


def values_of(fills: Sequence[Fill], test: Tester, deals: Sequence[Sequence[Any]]) -> list[str]:
    """The 54 values that the page shows."""
    out = np.array([row[8] + row[9] + row[10] for row in deals[1:] if row[4] == "out"])
    entry = np.array([row[8] for row in deals[1:] if row[4] == "in"])
    balance = np.array([row[11] for row in deals])
    net, count = float(out.sum() + entry.sum()), len(out)
    peak = np.maximum.accumulate(balance)
    fall, part = peak - balance, 100 * (peak - balance) / peak
    deep, steep = int(fall.argmax()), int(part.argmax())
    held = [weekless(fill) for fill in fills if fill.exit_ms is not None]
    sums = {"profit": out[out > 0].sum(), "loss": out[out < 0].sum() + entry.sum(), "wins": int((out >= 0).sum()), "losses": int((out < 0).sum())}
    share = [f"{100 * part / max(1, count):.2f}%" for part in (sums["wins"], sums["losses"])]
    return [
        test.expert, test.symbol, test.period, "", "Nobody Ltd.", test.currency, money(test.deposit), "1:100", "100% real ticks", "5000", "1234567", "1", money(net),
        money(max(0.0, test.deposit - balance.min())), "0.00", money(sums["profit"]), f"{money(fall[deep])} ({part[deep]:.2f}%)", "0.00 (0.00%)", money(sums["loss"]),
        f"{part[steep]:.2f}% ({money(fall[steep])})", "0.00% (0.00)", "1.00", f"{net / count if count else 0:.2f}", "", "0.10", "0.50", "0.50 (10.00%)", "1.0010 (0.10%)",
        "0.50", "0", "1.0010 (0.10%)", "10.00", str(count), "0 (0.00%)", "0 (0.00%)", str(len(deals) - 1), f"{sums['wins']} ({share[0]})", f"{sums['losses']} ({share[1]})",
        "0.00", "0.00", "0.00", "0.00", "1 (0.00)", "1 (0.00)", "0.00 (1)", "0.00 (1)", "1", "1", "0.10", "0.10", "0.1000",
        *(duration(one) for one in ((min(held), max(held), sum(held) / len(held)) if held else (0, 0, 0))),
    ]  # fmt: skip


def report_html(
    fills: Sequence[Fill],
    language: str = "en",
    test: Tester | None = None,
    changes: Mapping[str | int, Any] | None = None,
    encoding: str = "utf-16-le",
) -> bytes:
    """A tester's page. `changes` replaces a value by its place among the 54, or a cell of the deals by ``"row.column"`` (both from 0)."""
    test = test or Tester()
    orders, deals = deal_rows(fills, test)
    values = values_of(fills, test, deals)
    labels = LABELS[language].split("|")
    colon = "" if language == "xx" else ":"
    cells = [deal_cells(row, test) for row in deals]
    for where, new in (changes or {}).items():
        if isinstance(where, int):
            values[where] = new
        else:
            row, _, column = where.partition(".")
            cells[int(row)][int(column)] = new
    page = ['<!DOCTYPE html PUBLIC "-//W3C//DTD HTML 4.01 Transitional//EN" "http://www.w3.org/TR/html4/loose.dtd">', "<html>", "  <head>"]
    page += [
        "    <title>Report</title>",
        '    <style type="text/css">',
        "    <!--",
        "    td { font: 8pt  Tahoma,Arial; }",
        "    //-->",
        "    </style>",
        "  </head>",
        "<body>",
    ]
    page += ['<div align="center">', '<table cellspacing="1" cellpadding="3" border="0">']
    for title in ("Strategy Tester Report", "Lookalike-Demo (Build 5833)"):
        page.append(f'   <tr align="center">\n      <td colspan="13"><div style="font: 14pt Tahoma"><b>{title}</b><br></div></td>\n   </tr>')
    page.append('   <tr>\n      <td nowrap style="height: 10px"></td>\n    </tr>')
    for place in range(8):
        lines = list(test.inputs) or [""] if place == 3 else [values[place]]
        for number, line in enumerate(lines):
            label = labels[place] + colon if number == 0 else ""
            page.append(
                f'   <tr align="right">\n      <td nowrap colspan="3">{label}</td>\n      <td nowrap colspan="10" align="left"><b>{line}</b></td>\n   </tr>'
            )
    for places in HTML_ROWS:
        row = ['      <td nowrap colspan="4"></td>'] if len(places) == 2 else []
        for place in places:
            label, value = ("", "") if place is None else (labels[place] + colon, values[place])
            row.append(f'      <td nowrap colspan="3">{label}</td>\n      <td nowrap><b>{value}</b></td>')
        page.append('   <tr align="right">\n' + "\n".join(row) + "\n   </tr>")
    page.append(
        '   <tr align="center">\n      <th colspan="13"><img src="report.png" title="Graph" width=820 height=200 border=0 alt="Graph"></th>\n   </tr>'
    )
    page.append("</table>\n" + '<table cellspacing="1" cellpadding="3" border="0">')
    for heads, rows in ((ORDER_HEADS, [order_cells(row, test) for row in orders]), (DEAL_HEADS, cells)):
        page.append(
            '   <tr align="center">\n      <th colspan="13" style="height: 25px"><div style="font: 10pt Tahoma"><b>Table</b></div></th>\n   </tr>'
        )
        page.append('   <tr align="center" bgcolor="#E5F0FC">' + "".join(f"<td nowrap><b>{head}</b></td>" for head in heads.split("|")) + "</tr>")
        for number, row in enumerate(rows):
            colour = "#FFFFFF" if number % 2 else "#F7F7F7"
            page.append(f"   <tr bgcolor={colour} align=right>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>")
        if heads is ORDER_HEADS:
            page.append("   <tr>" + "<td></td>" * 13 + "</tr>")
    total = [money(sum(row[k] for row in deals[1:])) for k in (8, 9, 10)]
    page.append(
        f'   <tr align="right"><td nowrap colspan="8"></td>{"".join(f"<td nowrap><b>{one}</b></td>" for one in (*total, money(deals[-1][11])))}<td nowrap></td></tr>'
    )
    page.append("</table>\n</div>\n</body>\n</html>")
    text = "\r\n".join(page).replace("\r\n", "\n").replace("\n", "\r\n")
    return (b"\xff\xfe" if encoding == "utf-16-le" else b"") + text.encode(encoding)


def report_xlsx(fills: Sequence[Fill], test: Tester | None = None) -> bytes:
    """The same as a workbook: label in A, E, I, value in D, H, L, numbers as numbers, no row of totals."""
    import openpyxl

    test = test or Tester()
    orders, deals = deal_rows(fills, test)
    values, labels = values_of(fills, test, deals), [f"{label}:" for label in LABELS["en"].split("|")]
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(["Strategy Tester Report"])
    sheet.append(["Lookalike-Demo (Build 4040)"])
    sheet.append(["Settings"])
    for place in range(8):
        for number, line in enumerate(list(test.inputs) or [""] if place == 3 else [values[place]]):
            sheet.append([labels[place] if number == 0 else None, None, None, number_or_text(line)])
    sheet.append(["Results"])
    for places in SHEET_ROWS:
        row: list[Any] = [None] * 12
        for place, column in zip(places, (4, 8) if len(places) == 2 else (0, 4, 8), strict=False):
            if place is not None:
                row[column], row[column + 3] = labels[place], number_or_text(values[place])
        sheet.append(row)
    sheet.append([None])
    sheet.append(["Orders"])
    heads = ORDER_HEADS.split("|")
    spread = (0, 1, 2, 3, 4, 6, 7, 8, 9, 11, 12)
    for cells in [heads, *(order_cells(row, test) for row in orders)]:
        row = [None] * 13
        for place, cell in zip(spread, cells, strict=True):
            row[place] = number_or_text(cell)
        sheet.append(row)
    sheet.append(["Deals"])
    for cells in [DEAL_HEADS.split("|"), *(deal_cells(row, test) for row in deals)]:
        sheet.append([number_or_text(cell) for cell in cells])
    sheet.merge_cells("A1:N1")
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def deals_csv(fills: Sequence[Fill], test: Tester | None = None) -> bytes:
    """The deals as our Expert Advisor writes them, with the position of each."""
    test = test or Tester()
    _, deals = deal_rows(fills, test)
    lines = ["time,deal,position_id,order,symbol,type,direction,volume,price,commission,swap,profit,balance,comment"]
    for row in deals:
        at, deal, symbol, kind, direction, volume, price, order, *money_parts, balance, comment, position = row
        lines.append(
            ",".join(str(one) for one in (clock(at), deal, position, order, symbol, kind, direction, volume, price, *money_parts, balance, comment))
        )
    return ("\r\n".join(lines) + "\r\n").encode()


def optimisation_xml(passes: int, inputs: Sequence[str] = ("InpFast", "InpSlow"), prolog: str = "") -> bytes:
    """An optimisation's result: SpreadsheetML with a default namespace, `Created` with an hour of one digit, booleans as texts."""
    heads = [
        "Pass",
        "Result",
        "Profit",
        "Expected Payoff",
        "Profit Factor",
        "Recovery Factor",
        "Sharpe Ratio",
        "Custom",
        "Equity DD %",
        "Trades",
        *inputs,
        "InpUse",
    ]
    text = lambda value: f'<Cell><Data ss:Type="String">{value}</Data></Cell>'  # noqa: E731
    number = lambda value: f'<Cell ss:StyleID="ce2"><Data ss:Type="Number">{value}</Data></Cell>'  # noqa: E731
    rows = ["<Row>\n" + "\n".join(text(head) for head in heads) + "\n</Row>"]
    for n in range(passes):
        profit = round(1000.0 - 7.5 * n, 2)
        cells = [n, 10_000 + profit, profit, f"{profit / 20:.6f}", 1.2, 0.8, 1.1, 0, 5.5, 20, *(10 + n + k for k in range(len(inputs)))]
        rows.append("<Row>\n" + "\n".join(number(cell) for cell in cells) + "\n" + text("true" if n % 2 else "false") + "\n</Row>")
    head = """<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<?mso-application progid="Excel.Sheet"?>
%s<Workbook xmlns="urn:schemas-microsoft-com:office:spreadsheet"
xmlns:ss="urn:schemas-microsoft-com:office:spreadsheet">
<DocumentProperties xmlns="urn:schemas-microsoft-com:office:office">
<Title>Crosser EURUSD,M15 2024.01.02-2024.12.30</Title>
<Created>2025-09-23T9:01:44Z</Created>
<Server>Lookalike-Demo</Server>
<Deposit>10000 USD</Deposit>
<Leverage>500</Leverage>
</DocumentProperties>
<Worksheet ss:Name="Tester Optimizator Results">
<Table>
"""
    return (head % prolog + "\n".join(rows) + "\n</Table>\n</Worksheet>\n</Workbook>\n").encode()


def sample_fills(count: int = 40, seed: int = 5) -> list[Fill]:
    """Trades one after another with stops, targets, plain exits and one cut off by the end of the test; profits that the prices make."""
    random = np.random.default_rng(seed)
    at, fills = 1_492_675_200_000, []
    for n in range(count):
        side, lots = (1 if random.random() < 0.5 else -1), round(float(random.integers(1, 30)) / 100, 2)
        entry = round(1.07 + float(random.normal(0, 0.005)), 5)
        move = round(float(random.normal(0, 0.002)), 5)
        out = round(entry + move, 5)
        stop, target = round(entry - side * 0.002, 5), round(entry + side * 0.003, 5)
        comment = ""
        if n % 3 == 0:
            out = stop
            comment = f"sl {stop:.5f}"
        elif n % 3 == 1:
            out = target
            comment = f"tp {target:.5f}"
        if n == count - 1:
            comment = "end of test"
        held = int(random.integers(1, 90)) * 3_600_000 + int(random.integers(0, 3_599)) * 1_000
        fills.append(Fill(at, at + held, side, lots, entry, out, round(side * lots * 100_000 * (out - entry), 2), -round(3.5 * lots, 2), -round(3.5 * lots, 2),
                          round(float(random.normal(-0.2, 0.1)), 2), stop, target, "Crosser", comment))  # fmt: skip
        at = (at + held) // 3_600_000 * 3_600_000 + 2 * 3_600_000
    return fills


def with_(fill: Fill, **changes: Any) -> Fill:
    """The fill with some parts changed."""
    return replace(fill, **changes)


def order_cells(row: Sequence[Any], test: Tester) -> list[str]:
    """An order as its row shows it."""
    at, ticket, symbol, kind, lots, stop, target, comment = row
    levels = ["" if level is None else f"{level:.{test.digits}f}" for level in (stop, target)]
    return [clock(at), str(ticket), symbol, kind, f"{lots:g} / {lots:g}", "0.00", *levels, clock(at), "filled", comment]


def deal_cells(row: Sequence[Any], test: Tester) -> list[str]:
    """A deal as its row shows it."""
    at, deal, symbol, kind, direction, volume, price, order, *parts, comment, _ = row
    shown = ["" if volume == "" else f"{volume:g}", "" if price == "" else f"{price:.{test.digits}f}"]
    return [clock(at), str(deal), symbol, kind, direction, *shown, str(order), *(money(part) for part in parts), comment]


def number_or_text(cell: Any) -> Any:
    """A number where the text is a plain one."""
    try:
        return float(str(cell).replace(" ", "")) if cell not in (None, "") else None
    except ValueError:
        return cell


def money(value: float) -> str:
    """Two decimals, thousands spaced."""
    return f"{float(value) + 0.0:,.2f}".replace(",", " ")


def clock(ms: int) -> str:
    """A wall clock's time."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y.%m.%d %H:%M:%S")


def duration(seconds: float) -> str:
    """Hours, minutes, seconds."""
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def weekless(fill: Fill) -> float:
    """Seconds that a position was held, without the weekends' 48 hours."""
    assert fill.exit_ms is not None
    total = 0
    at = fill.entry_ms
    while at < fill.exit_ms:
        end = min((at // 86_400_000 + 1) * 86_400_000, fill.exit_ms)
        if (at // 86_400_000 + 3) % 7 < 5:
            total += end - at
        at = end
    return total / 1000
