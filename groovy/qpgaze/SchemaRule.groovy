package qpgaze

import groovy.transform.CompileStatic

/**
 * What the schema asks of one value, taken apart once: each state of each viewer is held against it, and
 * looking the words of a rule up again for every number of a line took longer than writing the line.
 */
@CompileStatic
final class SchemaRule {

    private static final List<String> KINDS = ["null", "boolean", "string", "array", "object", "number", "integer"]
    private static final int NULL = 1, BOOLEAN = 2, STRING = 4, ARRAY = 8, OBJECT = 16, NUMBER = 32, INTEGER = 64
    private static final String MISSING = " is missing"

    /** What is wrong; where, is put together on the way out, for a good line should cost little. */
    static final class Wrong {
        private final String words
        private String place = ""

        Wrong(String words) {
            this.words = words
        }

        Wrong within(String name) {
            place = place.isEmpty() || place.startsWith("[") ? name + place : name + "." + place
            return this
        }

        String text() {
            return words == MISSING ? place + MISSING : (place ?: "it") + words
        }
    }

    /** Of the kinds that it may be, one bit each; none where it may be anything. */
    private int kinds = 0
    private String kindsSaid = ""
    private Set<Object> allowed
    private double minimum = Double.NEGATIVE_INFINITY
    private Number minimumSaid
    private int leastItems = 0, mostItems = Integer.MAX_VALUE
    private int leastLength = 0, mostLength = Integer.MAX_VALUE
    private String[] required = new String[0]
    private String[] names = new String[0]
    private SchemaRule[] parts = new SchemaRule[0]
    private SchemaRule items

    private SchemaRule() {}

    /** The rules of one schema by their names, such as "viewer"; `definitions` are those that others refer to. */
    static Map<String, SchemaRule> all(Map<String, Map> rules, Map<String, Map> definitions) {
        Map<String, SchemaRule> known = new HashMap<>()
        Map<String, SchemaRule> made = new LinkedHashMap<>()
        for (Map.Entry<String, Map> one : rules.entrySet())
            made.put(one.getKey(), of(one.getValue(), definitions, known))
        return made
    }

    private static SchemaRule of(Map words, Map<String, Map> definitions, Map<String, SchemaRule> known) {
        String reference = (String) words.get('$ref')
        if (reference == null) {
            SchemaRule rule = new SchemaRule()
            rule.read(words, definitions, known)
            return rule
        }
        String name = reference.substring(reference.lastIndexOf("/") + 1)
        SchemaRule rule = known.get(name)
        if (rule == null) {
            rule = new SchemaRule()
            known.put(name, rule) // before it is read: it may lie within itself
            rule.read(definitions.get(name), definitions, known)
        }
        return rule
    }

    private void read(Map words, Map<String, Map> definitions, Map<String, SchemaRule> known) {
        Object type = words.get("type")
        if (type != null) {
            List<String> listed = type instanceof List ? (List<String>) type : [(String) type]
            for (String kind : listed)
                kinds |= 1 << KINDS.indexOf(kind)
            kindsSaid = listed.join(" or ")
        }
        List choices = (List) words.get("enum")
        allowed = choices == null ? null : new LinkedHashSet<Object>(choices)
        minimumSaid = (Number) words.get("minimum")
        if (minimumSaid != null)
            minimum = minimumSaid.doubleValue()
        leastItems = number(words, "minItems", 0)
        mostItems = number(words, "maxItems", Integer.MAX_VALUE)
        leastLength = number(words, "minLength", 0)
        mostLength = number(words, "maxLength", Integer.MAX_VALUE)
        required = texts((Collection) words.get("required"))
        Map<String, Map> properties = (Map<String, Map>) words.get("properties")
        names = texts(properties?.keySet())
        parts = new SchemaRule[names.length]
        for (int i = 0; i < names.length; i++)
            parts[i] = of(properties.get(names[i]), definitions, known)
        Map each = (Map) words.get("items")
        items = each == null ? null : of(each, definitions, known)
    }

    private static int number(Map words, String name, int absent) {
        Number said = (Number) words.get(name)
        return said == null ? absent : said.intValue()
    }

    private static String[] texts(Collection words) {
        String[] made = new String[words == null ? 0 : words.size()]
        int n = 0
        if (words != null)
            for (Object word : words)
                made[n++] = String.valueOf(word)
        return made
    }

    /** What is wrong with a value, null where nothing is. */
    Wrong mismatch(Object value) {
        if (kinds != 0 && (kinds & kindsOf(value)) == 0)
            return new Wrong(": expected " + kindsSaid + ", but " + brief(value) + " came")
        if (allowed != null && !allowed.contains(value))
            return new Wrong(": expected one of " + allowed.join(", ") + ", but " + brief(value) + " came")
        if (value instanceof Number) {
            if (minimumSaid != null && ((Number) value).doubleValue() < minimum)
                return new Wrong(": expected at least " + minimumSaid + ", but " + brief(value) + " came")
            return null
        }
        if (value instanceof Map)
            return objectMismatch((Map) value)
        if (value instanceof List)
            return listMismatch((List) value)
        if (value instanceof CharSequence)
            return leastLength == 0 && mostLength == Integer.MAX_VALUE ? null
                : sizeMismatch(codePoints((CharSequence) value), leastLength, mostLength, "characters")
        return null
    }

    private Wrong objectMismatch(Map value) {
        for (String name : required)
            if (value.get(name) == null && !value.containsKey(name))
                return new Wrong(MISSING).within(name)
        for (int i = 0; i < names.length; i++) {
            Object part = value.get(names[i])
            if (part != null || value.containsKey(names[i])) {
                Wrong wrong = parts[i].mismatch(part)
                if (wrong != null)
                    return wrong.within(names[i])
            }
        }
        return null
    }

    private Wrong listMismatch(List value) {
        Wrong wrong = sizeMismatch(value.size(), leastItems, mostItems, "items")
        if (wrong != null || items == null)
            return wrong
        for (int i = 0; i < value.size(); i++) {
            wrong = items.mismatch(value.get(i))
            if (wrong != null)
                return wrong.within("[" + i + "]")
        }
        return null
    }

    private static Wrong sizeMismatch(int size, int least, int most, String unit) {
        if (size < least)
            return new Wrong(": expected at least " + least + " " + unit + ", but " + size + " came")
        if (size > most)
            return new Wrong(": expected at most " + most + " " + unit + ", but " + size + " came")
        return null
    }

    private static int kindsOf(Object value) {
        if (value == null)
            return NULL
        if (value instanceof Double || value instanceof Float) {
            double number = ((Number) value).doubleValue()
            return !Double.isFinite(number) ? 0 : Math.rint(number) == number ? NUMBER | INTEGER : NUMBER
        }
        if (value instanceof Number)
            return NUMBER | INTEGER
        if (value instanceof CharSequence)
            return STRING
        if (value instanceof List)
            return ARRAY
        if (value instanceof Map)
            return OBJECT
        return value instanceof Boolean ? BOOLEAN : 0
    }

    private static int codePoints(CharSequence text) {
        String whole = text.toString()
        return whole.codePointCount(0, whole.length())
    }

    /** A value as an error shows it. */
    static String brief(Object value) {
        String text = value instanceof CharSequence ? "'${value}'".toString() : String.valueOf(value)
        return text.length() <= 60 ? text : text.substring(0, 57) + "..."
    }
}
