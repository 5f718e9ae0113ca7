package qpgaze

import groovy.transform.CompileStatic

/** Why a request was not done: a code of the wire and words for a person. */
@CompileStatic
final class WireFault extends RuntimeException {

    final String code

    WireFault(String code, String message) {
        super(message)
        this.code = code
    }
}
