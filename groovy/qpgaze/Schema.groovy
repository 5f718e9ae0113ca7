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
    private final Map<String, SchemaRule> ofClient
    private final Map<String, SchemaRule> ofHook

    Schema(String text) {
        Map whole = (Map) Json.parse(text)
        version = ((Number) whole.get("version")).intValue()
        maxLineBytes = ((Number) whole.get("max_line_bytes")).intValue()
        Map<String, Map> definitions = (Map<String, Map>) whole.get('$defs')
        ofClient = SchemaRule.all((Map<String, Map>) whole.get("client"), definitions)
        ofHook = SchemaRule.all((Map<String, Map>) whole.get("hook"), definitions)
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
        SchemaRule rule = (sender.equals("hook") ? ofHook : ofClient).get(type)
        if (rule == null)
            throw new WireFault("unknown",
                "A line is of the type ${SchemaRule.brief(type)}, which this version does not know.")
        SchemaRule.Wrong wrong = rule.mismatch(message)
        if (wrong != null)
            throw new WireFault("malformed", "In a line '${type}', ${wrong.text()}.")
        return message
    }
}
