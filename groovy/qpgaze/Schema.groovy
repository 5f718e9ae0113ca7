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
        Wrong wrong = mismatch(message, rule)
        if (wrong != null)
            throw new WireFault("malformed", "In a line '${type}', ${wrong.text()}.")
        return message
    }

    /** What is wrong; where, is put together on the way out, for a good line should cost little. */
    private static final class Wrong {
        private final String words
        private String place = ""

        Wrong(String words) {
            this.words = words
        }

        Wrong within(Object name) {
            place = place.isEmpty() || place.startsWith("[") ? "${name}${place}" : "${name}.${place}"
            return this
        }

        String text() {
            return words == MISSING ? place + MISSING : (place ?: "it") + words
        }
    }

    private static final String MISSING = " is missing"

    private Wrong mismatch(Object value, Map rule) {
        String reference = (String) rule.get('$ref')
        if (reference != null)
            return mismatch(value, definitions.get(reference.substring(reference.lastIndexOf("/") + 1)))
        Object type = rule.get("type")
        if (type != null && !(type instanceof List ? isOneOf(value, (List) type) : is(value, (String) type))) {
            String kinds = type instanceof List ? ((List) type).join(" or ") : type
            return new Wrong(": expected ${kinds}, but ${brief(value)} came")
        }
        List allowed = (List) rule.get("enum")
        if (allowed != null && !allowed.contains(value))
            return new Wrong(": expected one of ${allowed.join(', ')}, but ${brief(value)} came")
        if (value instanceof Map)
            return objectMismatch((Map) value, rule)
        if (value instanceof List)
            return listMismatch((List) value, rule)
        if (value instanceof CharSequence)
            return sizeMismatch(codePoints((CharSequence) value), rule, "minLength", "maxLength", "characters")
        if (value instanceof Number) {
            Number least = (Number) rule.get("minimum")
            if (least != null && ((Number) value).doubleValue() < least.doubleValue())
                return new Wrong(": expected at least ${least}, but ${brief(value)} came")
        }
        return null
    }

    private Wrong objectMismatch(Map value, Map rule) {
        List required = (List) rule.get("required")
        if (required != null)
            for (Object name : required)
                if (!value.containsKey(name))
                    return new Wrong(MISSING).within(name)
        Map<Object, Object> properties = (Map<Object, Object>) rule.get("properties")
        if (properties != null)
            for (Map.Entry<Object, Object> inner : properties.entrySet()) {
                Object part = value.get(inner.getKey())
                if (part != null || value.containsKey(inner.getKey())) {
                    Wrong wrong = mismatch(part, (Map) inner.getValue())
                    if (wrong != null)
                        return wrong.within(inner.getKey())
                }
            }
        return null
    }

    private Wrong listMismatch(List value, Map rule) {
        Wrong wrong = sizeMismatch(value.size(), rule, "minItems", "maxItems", "items")
        Map each = (Map) rule.get("items")
        for (int i = 0; wrong == null && each != null && i < value.size(); i++)
            wrong = mismatch(value.get(i), each)?.within("[" + i + "]")
        return wrong
    }

    private static Wrong sizeMismatch(int size, Map rule, String minimum, String maximum, String unit) {
        Number least = (Number) rule.get(minimum)
        Number most = (Number) rule.get(maximum)
        if (least != null && size < least.intValue())
            return new Wrong(": expected at least ${least} ${unit}, but ${size} came")
        if (most != null && size > most.intValue())
            return new Wrong(": expected at most ${most} ${unit}, but ${size} came")
        return null
    }

    private static boolean isOneOf(Object value, List kinds) {
        for (Object kind : kinds)
            if (is(value, (String) kind))
                return true
        return false
    }

    private static boolean is(Object value, String kind) {
        if (kind.equals("null"))
            return value == null
        if (kind.equals("string"))
            return value instanceof CharSequence
        if (kind.equals("boolean"))
            return value instanceof Boolean
        if (kind.equals("array"))
            return value instanceof List
        if (kind.equals("object"))
            return value instanceof Map
        if (!(value instanceof Number))
            return false
        boolean whole = !(value instanceof Double || value instanceof Float)
        double number = whole ? 0d : ((Number) value).doubleValue()
        if (kind.equals("number"))
            return whole || Double.isFinite(number)
        return kind.equals("integer") && (whole || (Double.isFinite(number) && Math.rint(number) == number))
    }

    private static int codePoints(CharSequence text) {
        String whole = text.toString()
        return whole.codePointCount(0, whole.length())
    }

    private static String brief(Object value) {
        String text = value instanceof CharSequence ? "'${value}'".toString() : String.valueOf(value)
        return text.length() <= 60 ? text : text.substring(0, 57) + "..."
    }
}
