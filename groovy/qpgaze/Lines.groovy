package qpgaze

import groovy.transform.CompileStatic

/** Cuts what comes from a socket into lines; a line over the limit costs no memory. */
@CompileStatic
final class Lines {

    /** Stands for a line over the limit: its bytes were thrown away. */
    static final byte[] TOO_LONG = new byte[0]

    private final InputStream source
    private final int limit
    private final byte[] chunk = new byte[1 << 16]
    private int at = 0
    private int end = 0

    Lines(InputStream source, int limit) {
        this.source = source
        this.limit = limit
    }

    /** The next line without its end; TOO_LONG for a long one; null where the other end is gone. */
    byte[] next() {
        def kept = new ByteArrayOutputStream(256)
        boolean skipping = false
        while (true) {
            if (at == end) {
                at = 0
                end = source.read(chunk)
                if (end <= 0) {
                    end = 0
                    return null
                }
            }
            int stop = at
            while (stop < end && chunk[stop] != (byte) 10)
                stop++
            if (!skipping && kept.size() + stop - at >= limit) {
                skipping = true
                kept.reset()
            }
            if (!skipping)
                kept.write(chunk, at, stop - at)
            boolean whole = stop < end
            at = whole ? stop + 1 : end
            if (!whole)
                continue
            if (skipping)
                return TOO_LONG
            byte[] line = kept.toByteArray()
            int length = line.length
            while (length > 0 && line[length - 1] == (byte) 13)
                length--
            if (!blank(line, length))
                return length == line.length ? line : Arrays.copyOf(line, length)
            kept.reset()
        }
    }

    private static boolean blank(byte[] line, int length) {
        for (int i = 0; i < length; i++)
            if (line[i] != (byte) 32 && line[i] != (byte) 9)
                return false
        return true
    }
}
