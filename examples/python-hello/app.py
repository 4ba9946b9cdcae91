"""Draws a QR code: as JSON facts when invoked, as an image when called by URL."""

import io

import segno


def handler(event, context):
    query = event.get("queryStringParameters") or {}
    text = event.get("text") or query.get("text") or "Hello from Dayfly"
    code = segno.make(text, error="m")
    print(f"drew {code.designator} for {len(text)} characters")
    if "requestContext" not in event:
        return {"text": text, "code": code.designator, "modules": code.symbol_size()[0]}
    image = io.BytesIO()
    code.save(image, kind="svg", scale=8)
    return {
        "statusCode": 200,
        "headers": {"content-type": "image/svg+xml"},
        "body": image.getvalue().decode(),
    }
