"""The `logging` module as a handler finds it. Loaded once the user's code imports `logging`."""

import os
import time


def set_up(logging, runtime):
    """Root handler, format and level as AWS's client sets them."""

    class LambdaLoggerHandler(logging.Handler):
        def emit(self, record):
            record.aws_request_id = runtime.request_id
            record.tenant_id = runtime.tenant_id
            runtime.channel.log(self.format(record))

    logging.Formatter.converter = time.gmtime
    handler = LambdaLoggerHandler()
    handler.setFormatter(
        json_formatter(logging)
        if runtime.json_logs
        else logging.Formatter(
            "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s", "%Y-%m-%dT%H:%M:%S"
        )
    )
    level = os.environ.get("AWS_LAMBDA_LOG_LEVEL", "").upper()
    level = "DEBUG" if level == "TRACE" else level
    if level in logging._nameToLevel:
        logging.getLogger().setLevel(level)
    logging.getLogger().addHandler(handler)


def json_formatter(logging):
    """The formatter of `AWS_LAMBDA_LOG_FORMAT=JSON`: one object per record, the record's extras included."""
    import json
    import traceback

    usual = set(vars(logging.LogRecord("", 0, "", 0, "", (), None))) | {"aws_request_id", "tenant_id", "message", "asctime"}

    class JsonFormatter(logging.Formatter):
        def format(self, record):
            level = min(50, max(0, record.levelno)) // 10 * 10
            kind, error, tb = record.exc_info if record.exc_info else (None, None, None)
            known = isinstance(record.msg, dict) and not record.args
            result = {
                "timestamp": self.formatTime(record, "%Y-%m-%dT%H:%M:%SZ"),
                "level": logging.getLevelName(level),
                "message": record.msg if known else record.getMessage(),
                "logger": record.name,
                "stackTrace": traceback.format_tb(tb) if record.exc_info else None,
                "errorType": kind and kind.__name__,
                "errorMessage": str(error) if record.exc_info else None,
                "requestId": record.aws_request_id,
                "location": "%s:%s:%s" % (record.pathname, record.funcName, record.lineno) if record.exc_info else None,
                "tenantId": record.tenant_id,
            }
            extras = ((k, v) for k, v in vars(record).items() if k not in usual and k not in result)
            result.update(extras)
            return json.dumps({k: v for k, v in result.items() if v is not None}, ensure_ascii=False, default=str)

    return JsonFormatter()
