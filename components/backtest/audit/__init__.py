"""The look-ahead audit: does a strategy's past move when only the future is another, and which function moved it?"""

from components.backtest.audit.audit import audit_strategy
from components.backtest.audit.execute import AuditSpec, execute_audit, parse_audit
from components.backtest.audit.report import AuditLeak, AuditReport, LagRow, WarmUp

__all__ = ["AuditLeak", "AuditReport", "AuditSpec", "LagRow", "WarmUp", "audit_strategy", "execute_audit", "parse_audit"]
