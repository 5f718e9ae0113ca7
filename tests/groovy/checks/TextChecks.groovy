package checks

import qpgaze.Json
import qpgaze.Lines
import qpgaze.WireFault

/** Lines cut from a stream of bytes, and JSON. */
class TextChecks {

    /** Gives its bytes in pieces of one size. */
    static class Pieces extends ByteArrayInputStream {
        final int size

        Pieces(byte[] all, int size) {
            super(all)
            this.size = size
        }

        @Override
        int read(byte[] into, int at, int most) {
            return super.read(into, at, Math.min(most, size))
        }

        @Override
        int read(byte[] into) {
            return read(into, 0, into.length)
        }
    }

    private static List cut(String text, int limit, int size) {
        def lines = new Lines(new Pieces(text.getBytes("UTF-8"), size), limit)
        def found = []
        byte[] line
        while ((line = lines.next()) != null)
            found << (line.is(Lines.TOO_LONG) ? "TOO LONG" : new String(line, "UTF-8"))
        return found
    }

    void "however the bytes come the lines are the same"() {
        for (size in [1, 2, 3, 7, 1 << 20])
            assert cut("eins\r\n\n  \t\nzwö\n\ndrei\nhalf", 64, size) == ["eins", "zwö", "drei"]
    }

    void "a long line is named and what follows it is read"() {
        for (size in [1, 5, 1 << 20]) {
            assert cut("x" * 9 + "\nshort\n", 10, size) == ["x" * 9, "short"]
            assert cut("x" * 10 + "\nshort\n" + "y" * 99 + "\nend\n", 10, size) == ["TOO LONG", "short", "TOO LONG", "end"]
        }
    }

    void "a line larger than the memory costs none"() {
        def endless = new InputStream() {
            long left = 1L << 28

            int read() {
                throw new IllegalStateException("not a byte alone")
            }

            int read(byte[] into) {
                if (left == 0)
                    return -1
                left -= into.length
                Arrays.fill(into, (byte) 120)
                if (left <= 0) {
                    left = 0
                    into[into.length - 1] = 10
                }
                return into.length
            }
        }
        def lines = new Lines(endless, 1 << 20)
        assert lines.next().is(Lines.TOO_LONG)
        assert lines.next() == null
    }

    void "values come back as they were written"() {
        def value = [a: 1L, big: 9_007_199_254_740_993L, d: 1.5d, tiny: 1e-300d, s: "ä\u2028\"\\\n", n: null,
                     t: true, list: [1L, [b: []], "<html>"]]
        assert Json.parse(Json.text(value)) == value
        assert Json.text([n: null, s: "<b>"]) == '{"n":null,"s":"<b>"}'
        assert new String(Json.line([a: 1]), "UTF-8") == '{"a":1}\n'
    }

    void "whole numbers stay whole and others do not become so"() {
        assert Json.parse("[0, -7, 1784551020000000]") == [0L, -7L, 1784551020000000L]
        assert Json.parse("[1.0, 2e3, 123456789012345678901]").every { it instanceof Double }
    }

    void "numbers that JSON lacks become null"() {
        assert Json.text([a: Double.NaN, b: [1d, Double.POSITIVE_INFINITY], c: [x: Float.NaN]]) ==
            '{"a":null,"b":[1.0,null],"c":{"x":null}}'
    }

    void "what is no JSON is a fault and nothing else"() {
        for (text in ["", " ", "{", "[1,", "{\"a\" 1}", "{} {}", "[1] x", "nul", "'a'", "{a:1}", "\u0000", "[1;2]",
                      "[1,]", "01", "+1", ".5", "NaN", "Infinity", "-", "[" * 200 + "]" * 200, "[" * 1_000_000]) {
            try {
                def value = Json.parse(text)
                assert false: "${text.take(20)} was read as ${value}"
            } catch (WireFault e) {
                assert e.code == "malformed"
            }
        }
        for (bytes in [[0x22, 0xff, 0x22], [0x22, 0xc3, 0x22], [0xfe, 0xff]]) {
            try {
                Json.parse(bytes as byte[])
                assert false: bytes
            } catch (WireFault e) {
                assert e.code == "malformed"
            }
        }
    }
}
