package qpgaze

import groovy.transform.CompileStatic
import org.slf4j.Logger
import org.slf4j.LoggerFactory

import java.util.concurrent.ConcurrentHashMap

/** What this QuPath lacks or what failed: said once in the log, kept for "Check set-up". */
@CompileStatic
final class Troubles {

    private static final Logger log = LoggerFactory.getLogger("qpgaze")
    private static final Map<String, String> SAID = new ConcurrentHashMap<>()

    private Troubles() {}

    static void once(String what, String message) {
        if (SAID.putIfAbsent(what, message) == null)
            log.warn("qpgaze: {}: {}", what, message)
    }

    static List<String> said() {
        return SAID.collect { "${it.key}: ${it.value}".toString() }.sort()
    }

    /** Do something of QuPath's that may be absent or fail; go on without. */
    static Object attempt(String what, Closure<?> work) {
        try {
            return work.call()
        } catch (MissingMethodException | MissingPropertyException | LinkageError e) {
            once(what, "this QuPath has no such call (${e.message?.readLines()?.get(0)})")
        } catch (Exception e) {
            once(what, "failed: ${e}")
            log.debug("qpgaze: {}", what, e)
        }
        return null
    }
}
