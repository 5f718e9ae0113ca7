package checks

import qpgaze.Json

/** Runs every method without arguments of the classes named and says of each, in a line of JSON, how it went. */
class Run {

    static void main(String[] names) {
        for (name in names) {
            def type = Class.forName(name)
            for (method in type.declaredMethods.findAll { it.parameterCount == 0 && !it.synthetic && isCheck(it) }) {
                String error = null
                try {
                    method.invoke(type.getDeclaredConstructor().newInstance())
                } catch (java.lang.reflect.InvocationTargetException e) {
                    def text = new StringWriter()
                    e.cause.printStackTrace(new PrintWriter(text))
                    error = text.toString()
                }
                println Json.text([check: "${type.simpleName}: ${method.name}".toString(), error: error])
            }
        }
        System.exit(0)
    }

    private static boolean isCheck(java.lang.reflect.Method method) {
        return method.returnType == void.class && java.lang.reflect.Modifier.isPublic(method.modifiers) &&
            method.name.contains(" ")
    }
}
