"""Writes structured log lines with AWS Lambda Powertools."""

from aws_lambda_powertools import Logger

logger = Logger(service="hello")


@logger.inject_lambda_context
def handler(event, context):
    logger.info("greeting", extra={"guest": event.get("name", "world")})
    return {"message": f"Hello, {event.get('name', 'world')}!", "request": context.aws_request_id}
