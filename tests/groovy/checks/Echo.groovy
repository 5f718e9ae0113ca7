package checks

import groovy.transform.CompileStatic

/** A program to start: says its arguments and what it was told, waits for the end of its input. */
@CompileStatic
class Echo {

    static void main(String[] given) {
        System.out.println("hook " + System.getenv("QPGAZE_HOOK"))
        System.out.println("in " + System.getProperty("user.dir"))
        System.err.println("qpgaze: Plug in the tracker.")
        System.out.println('{"event": "started", "given": "' + given.join(" ") + '"}')
        System.out.flush()
        while (System.in.read() >= 0)
            continue
        System.exit(given.contains("fail") ? 3 : 0)
    }
}
