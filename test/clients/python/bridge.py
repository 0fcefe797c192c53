"""boto3, told what to call: one JSON line {"operation", "input", "region"} in, one {"output"} or {"error"} out. Blobs are Base64 both ways."""
import base64
import json
import sys

import boto3
from botocore.exceptions import ClientError, ParamValidationError

clients = {}


def client_of(region):
    if region not in clients:
        clients[region] = boto3.client("kms", region_name=region)
    return clients[region]


def convert(shape, value, blob):
    """The value with its blobs turned by `blob`, walked along the shapes of botocore's own model."""
    if shape.type_name == "blob":
        return blob(value)
    if shape.type_name == "structure":
        return {name: convert(shape.members[name], one, blob) for name, one in value.items() if name in shape.members}
    if shape.type_name == "list":
        return [convert(shape.member, one, blob) for one in value]
    if shape.type_name == "timestamp":
        return value.timestamp()
    return value


def answer(line):
    asked = json.loads(line)
    client = client_of(asked["region"])
    model = client.meta.service_model.operation_model(asked["operation"])
    methods = {operation: method for method, operation in client.meta.method_to_api_mapping.items()}
    given = convert(model.input_shape, asked["input"], base64.b64decode)
    try:
        result = getattr(client, methods[asked["operation"]])(**given)
    except (ClientError, ParamValidationError) as error:
        return {"error": str(error)}
    result.pop("ResponseMetadata")
    if model.output_shape is None:
        return {"output": {}}
    return {"output": convert(model.output_shape, result, lambda value: base64.b64encode(value).decode())}


for line in sys.stdin:
    print(json.dumps(answer(line)), flush=True)
