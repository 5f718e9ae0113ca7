package checks

import qpgaze.Json

/** What the dropped script would take for qpgaze: without QuPath, from the compiled script alone. */
class Installer {

    static void main(String[] given) {
        def script = Class.forName("install_qpgaze").getDeclaredConstructor().newInstance()
        script.setBinding(new Binding(given.length > 0 ? ["qupath.script.file": given[0]] : [:]))
        println Json.text([found: script.findProgram()])
    }
}
