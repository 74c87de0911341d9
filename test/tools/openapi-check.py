"""Checks OpenAPI documents, and values against their schemas: JSON in the file that is named, what is wrong on stdout.

[{"document": {…}, "samples": [{"schema": "Info", "value": {…}}]}] → [["…"]]
"""
import json
import sys

from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012



def problems(document, samples):
    for error in OpenAPIV31SpecValidator(document).iter_errors():
        yield f"{list(error.path)}: {error.message}"
    registry = Registry().with_resource("urn:document", Resource(contents=document, specification=DRAFT202012))
    for sample in samples:
        schema = {"$ref": f"urn:document#/components/schemas/{sample['schema']}"}
        for error in OAS31Validator(schema, registry=registry).iter_errors(sample["value"]):
            yield f"{sample['schema']} {list(error.path)}: {error.message}"


with open(sys.argv[1]) as file:
    print(json.dumps([list(problems(**asked)) for asked in json.load(file)]))
