"""A handler of nobody's: what importing one touches is touched before the first real one."""

import json
import os


def handler(event, context):
    """Answers with what it is given."""
    return {"event": json.dumps(event), "region": os.environ.get("AWS_REGION")}
