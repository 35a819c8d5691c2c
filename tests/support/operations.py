"""The operations of Lambda, as the AWS SDK spells them, and which of them firelet serves."""

import boto3

from support.server import ROOT

IMPLEMENTED = {
    line.split("#")[0].strip()
    for line in (ROOT / "api/implemented.txt").read_text().splitlines()
    if line.split("#")[0].strip()
}
MODEL = boto3.client("lambda", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b").meta
OPERATIONS = [MODEL.service_model.operation_model(name) for name in MODEL.service_model.operation_names]
METHODS = {operation: method for method, operation in MODEL.method_to_api_mapping.items()}


def sample(shape):
    """The smallest value of `shape`, with the members that it must have."""
    if shape.type_name == "structure":
        return {name: sample(shape.members[name]) for name in shape.required_members}
    if shape.type_name == "list":
        return [sample(shape.member)] * shape.metadata.get("min", 0)
    if shape.type_name == "map":
        return {}
    if shape.type_name in ("integer", "long"):
        return shape.metadata.get("min", 1)
    if shape.type_name == "boolean":
        return False
    if shape.type_name == "timestamp":
        return 0
    if shape.type_name == "blob":
        return b"{}"
    return shape.enum[0] if shape.enum else "x" * max(1, shape.metadata.get("min", 1))
