package qpgaze

import groovy.transform.CompileStatic

/**
 * The one schema of the wire (wire-schema.json) and the check of a line against it.
 *
 * It says the same as qpgaze.wire.schema in Python: a test holds both to the same lines.
 */
@CompileStatic
final class Schema {

    final int version
    final int maxLineBytes
    private final Map<String, Map> definitions
    private final Map<String, Map<String, Map>> ends

    Schema(String text) {
        Map whole = (Map) Json.parse(text)
        version = ((Number) whole.get("version")).intValue()
        maxLineBytes = ((Number) whole.get("max_line_bytes")).intValue()
        definitions = (Map<String, Map>) whole.get('$defs')
        ends = [client: (Map<String, Map>) whole.get("client"), hook: (Map<String, Map>) whole.get("hook")]
    }

    /** A line as it may be sent. */
    byte[] encode(Map<String, ?> message) {
        check(message, "hook")
        byte[] line = Json.line(message)
        if (line.length > maxLineBytes)
            throw new WireFault("too_long", "A line '${message.get('type')}' of ${line.length} bytes is too long.")
        return line
    }

    /** A line of a client, checked. */
    Map<String, Object> decode(byte[] line) {
        return check(Json.parse(line), "client")
    }

    Map<String, Object> check(Object value, String sender) {
        if (!(value instanceof Map) || !(((Map) value).get("type") instanceof CharSequence))
            throw new WireFault("malformed", "A line holds no JSON object with a type.")
        Map<String, Object> message = (Map<String, Object>) value
        String type = String.valueOf(message.get("type"))
        Map rule = ends.get(sender).get(type)
        if (rule == null)
            throw new WireFault("unknown",
                "A line is of the type ${brief(type)}, which this version does not know.")
        String wrong = mismatch(message, rule, "")
        if (wrong != null)
            throw new WireFault("malformed", "In a line '${type}', ${wrong}.")
        return message
    }

    private String mismatch(Object value, Map rule, String place) {
        String reference = (String) rule.get('$ref')
        if (reference != null)
            return mismatch(value, definitions.get(reference.substring(reference.lastIndexOf("/") + 1)), place)
        Object type = rule.get("type")
        if (type != null) {
            List kinds = type instanceof List ? (List) type : [type]
            if (!kinds.any { is(value, (String) it) })
                return "${place ?: 'it'}: expected ${kinds.join(' or ')}, but ${brief(value)} came"
        }
        List allowed = (List) rule.get("enum")
        if (allowed != null && !allowed.contains(value))
            return "${place}: expected one of ${allowed.join(', ')}, but ${brief(value)} came"
        if (value instanceof Map)
            return objectMismatch((Map) value, rule, place)
        if (value instanceof List)
            return listMismatch((List) value, rule, place)
        if (value instanceof CharSequence)
            return sizeMismatch(codePoints((CharSequence) value), rule, "Length", "characters", place)
        if (value instanceof Number && rule.get("minimum") != null
                && ((Number) value).doubleValue() < ((Number) rule.get("minimum")).doubleValue())
            return "${place}: expected at least ${rule.get('minimum')}, but ${brief(value)} came"
        return null
    }

    private String objectMismatch(Map value, Map rule, String place) {
        for (Object name : (List) (rule.get("required") ?: []))
            if (!value.containsKey(name))
                return "${within(place, name)} is missing"
        for (Map.Entry inner : ((Map<Object, Object>) (rule.get("properties") ?: [:])).entrySet()) {
            if (value.containsKey(inner.key)) {
                String wrong = mismatch(value.get(inner.key), (Map) inner.value, within(place, inner.key))
                if (wrong != null)
                    return wrong
            }
        }
        return null
    }

    private String listMismatch(List value, Map rule, String place) {
        String wrong = sizeMismatch(value.size(), rule, "Items", "items", place)
        Map each = (Map) rule.get("items")
        for (int i = 0; wrong == null && each != null && i < value.size(); i++)
            wrong = mismatch(value.get(i), each, "${place}[${i}]".toString())
        return wrong
    }

    private static String sizeMismatch(int size, Map rule, String what, String unit, String place) {
        Number least = (Number) rule.get("min" + what)
        Number most = (Number) rule.get("max" + what)
        if (least != null && size < least.intValue())
            return "${place}: expected at least ${least} ${unit}, but ${size} came"
        if (most != null && size > most.intValue())
            return "${place}: expected at most ${most} ${unit}, but ${size} came"
        return null
    }

    private static boolean is(Object value, String kind) {
        switch (kind) {
            case "null": return value == null
            case "boolean": return value instanceof Boolean
            case "string": return value instanceof CharSequence
            case "array": return value instanceof List
            case "object": return value instanceof Map
            case "number": return value instanceof Number && Double.isFinite(((Number) value).doubleValue())
            case "integer":
                if (value instanceof Double || value instanceof Float) {
                    double number = ((Number) value).doubleValue()
                    return Double.isFinite(number) && Math.rint(number) == number
                }
                return value instanceof Number
            default: return false
        }
    }

    private static int codePoints(CharSequence text) {
        String whole = text.toString()
        return whole.codePointCount(0, whole.length())
    }

    private static String within(String place, Object name) {
        return place ? "${place}.${name}".toString() : String.valueOf(name)
    }

    private static String brief(Object value) {
        String text = value instanceof CharSequence ? "'${value}'".toString() : String.valueOf(value)
        return text.length() <= 60 ? text : text.substring(0, 57) + "..."
    }
}
