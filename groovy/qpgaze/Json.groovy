package qpgaze

import com.google.gson.Gson
import com.google.gson.GsonBuilder
import com.google.gson.stream.JsonReader
import com.google.gson.stream.JsonToken
import groovy.transform.CompileStatic

import java.nio.charset.CodingErrorAction
import java.nio.charset.StandardCharsets

/**
 * JSON as maps, lists, String, Boolean, null, Long (whole numbers) and Double.
 *
 * Written with the Gson that QuPath brings: Groovy's own JSON is not among its parts.
 */
@CompileStatic
final class Json {

    /** Deeper than this lies no line of ours; a stranger's could exhaust the stack. */
    private static final int DEEPEST = 100

    private static final Gson GSON = new GsonBuilder().serializeNulls().disableHtmlEscaping().create()

    private Json() {}

    /** The value of one JSON text; a WireFault where it is none. */
    static Object parse(byte[] text) {
        try {
            def decoder = StandardCharsets.UTF_8.newDecoder()
                .onMalformedInput(CodingErrorAction.REPORT).onUnmappableCharacter(CodingErrorAction.REPORT)
            // As it is read: a long line in one piece is a thing that Java's garbage collector does not like.
            return parsed(new InputStreamReader(new ByteArrayInputStream(text), decoder))
        } catch (IOException e) {
            throw new WireFault("malformed", "A line is no JSON.")
        }
    }

    static Object parse(String text) {
        return parsed(new StringReader(text))
    }

    private static Object parsed(Reader text) {
        def reader = new JsonReader(text)
        try {
            def value = read(reader, 0)
            if (reader.peek() != JsonToken.END_DOCUMENT)
                throw new WireFault("malformed", "A line holds more than one JSON value.")
            return value
        } catch (IOException | IllegalStateException | NumberFormatException e) {
            throw new WireFault("malformed", "A line is no JSON.")
        }
    }

    private static Object read(JsonReader reader, int depth) {
        if (depth > DEEPEST)
            throw new WireFault("malformed", "A line is nested too deep.")
        // No 'switch': Groovy asks each of its cases at run time, and a line holds many numbers.
        JsonToken kind = reader.peek()
        if (kind.is(JsonToken.NUMBER))
            return number(reader.nextString())
        if (kind.is(JsonToken.BEGIN_ARRAY)) {
            List<Object> list = new ArrayList<>()
            reader.beginArray()
            while (reader.hasNext())
                list.add(read(reader, depth + 1))
            reader.endArray()
            return list
        }
        if (kind.is(JsonToken.BEGIN_OBJECT)) {
            Map<String, Object> map = new LinkedHashMap<>()
            reader.beginObject()
            while (reader.hasNext()) {
                String name = reader.nextName()
                map.put(name, read(reader, depth + 1))
            }
            reader.endObject()
            return map
        }
        if (kind.is(JsonToken.STRING))
            return reader.nextString()
        if (kind.is(JsonToken.BOOLEAN))
            return reader.nextBoolean()
        if (kind.is(JsonToken.NULL)) {
            reader.nextNull()
            return null
        }
        return number(reader.nextString())
    }

    private static Object number(String text) {
        if (text.indexOf(".") < 0 && text.indexOf("e") < 0 && text.indexOf("E") < 0 && text.length() < 19)
            return Long.parseLong(text)
        return Double.parseDouble(text)
    }

    /** One line, its line feed included; numbers that JSON lacks become null. */
    static byte[] line(Map<String, ?> message) {
        return (text(message) + "\n").getBytes(StandardCharsets.UTF_8)
    }

    static String text(Object value) {
        try {
            return GSON.toJson(value)
        } catch (IllegalArgumentException e) {
            return GSON.toJson(plain(value))
        }
    }

    private static Object plain(Object value) {
        if (value instanceof Map) {
            def map = new LinkedHashMap<String, Object>()
            ((Map) value).each { key, inner -> map.put(String.valueOf(key), plain(inner)) }
            return map
        }
        if (value instanceof Collection)
            return ((Collection) value).collect { plain(it) }
        if (value instanceof Double || value instanceof Float) {
            double number = ((Number) value).doubleValue()
            return Double.isFinite(number) ? number : null
        }
        return value
    }
}
