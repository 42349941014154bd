"""The part of JSON Schema that bench/schema.json uses, so that a test needs no package."""

TYPES = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "null": type(None),
}


def is_of_type(value, name):
    if name == "number":
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if name == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, TYPES[name])


def errors(value, schema, root=None, place="$"):
    """All that is wrong with `value`, a sentence each."""
    root = root or schema
    known = {"$schema", "$defs", "$ref", "title", "description", "type", "const", "enum",
             "required", "properties", "additionalProperties", "items", "minimum",
             "exclusiveMinimum"}
    unknown = set(schema) - known
    if unknown:
        raise ValueError(f"{place}: this checker does not know {unknown}")
    if "$ref" in schema:
        return errors(value, root["$defs"][schema["$ref"].removeprefix("#/$defs/")], root, place)
    found = []
    types = schema.get("type", [])
    types = [types] if isinstance(types, str) else types
    if types and not any(is_of_type(value, name) for name in types):
        return [f"{place}: {value!r} is no {' or '.join(types)}"]
    if "const" in schema and value != schema["const"]:
        found.append(f"{place}: {value!r} is not {schema['const']!r}")
    if "enum" in schema and value not in schema["enum"]:
        found.append(f"{place}: {value!r} is none of {schema['enum']}")
    if is_of_type(value, "number"):
        if "minimum" in schema and not value >= schema["minimum"]:
            found.append(f"{place}: {value} is less than {schema['minimum']}")
        if "exclusiveMinimum" in schema and not value > schema["exclusiveMinimum"]:
            found.append(f"{place}: {value} is not more than {schema['exclusiveMinimum']}")
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        found += [f"{place}: {key} is missing" for key in schema.get("required", [])
                  if key not in value]
        for key, item in value.items():
            if key in properties:
                found += errors(item, properties[key], root, f"{place}.{key}")
            elif schema.get("additionalProperties") is False:
                found.append(f"{place}: {key} is unknown")
    if isinstance(value, list) and "items" in schema:
        for i, item in enumerate(value):
            found += errors(item, schema["items"], root, f"{place}[{i}]")
    return found
