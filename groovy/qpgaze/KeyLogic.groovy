package qpgaze

import groovy.transform.CompileStatic

/**
 * What a labelling key means: pure, told what was pressed and when, answers with label events.
 *
 * Digits pick a class and mark it; one key holds ("what I look at now is X"), one toggles (pressed
 * once it begins, pressed again it ends), one takes the last label back.
 */
@CompileStatic
final class KeyLogic {

    /** What is to be sent (null: nothing) and shown. */
    static final class Answer {
        final Map<String, Object> data
        final String text

        Answer(Map<String, Object> data, String text) {
            this.data = data
            this.text = text
        }
    }

    private List<String> classes
    private Map<String, String> keys
    private String current
    private String holding
    private String toggled

    KeyLogic(List<String> classes, Map<String, String> keys) {
        configure(classes, keys)
    }

    void configure(List<String> classes, Map<String, String> keys) {
        this.classes = classes.take(9)
        this.keys = keys
        if (current == null || !classes.contains(current))
            current = classes ? classes[0] : null
    }

    String getCurrent() {
        return current
    }

    /** What the digits mean, in their order. */
    List<String> getClasses() {
        return classes
    }

    void pick(String name) {
        current = name
    }

    boolean isHolding() {
        return holding != null
    }

    boolean isToggled() {
        return toggled != null
    }

    /** Whether a key is one of ours: then QuPath does not get it. `name` as JavaFX calls its key codes. */
    boolean takes(String name) {
        int digit = digit(name)
        if (digit > 0)
            return digit <= classes.size()
        return keys.containsValue(name)
    }

    /** A key went down; null where it means nothing. */
    Answer pressed(String name) {
        int digit = digit(name)
        if (digit > 0 && digit <= classes.size()) {
            current = classes[digit - 1]
            return new Answer([event: (Object) "mark", class: current], "${digit}  ${current}")
        }
        if (name == keys.hold && holding == null && current != null) {
            holding = current
            return new Answer([event: (Object) "hold", class: holding, down: true], "${holding} ...")
        }
        if (name == keys.toggle && current != null) {
            boolean down = toggled == null
            String which = down ? current : toggled
            toggled = down ? which : null
            return new Answer([event: (Object) "toggle", class: which, down: down], down ? "${which} on" : "${which} off")
        }
        if (name == keys.undo)
            return new Answer([event: (Object) "undo"], "undo")
        return null
    }

    /** A key came up; null where it means nothing. */
    Answer released(String name) {
        if (name != keys.hold || holding == null)
            return null
        String which = holding
        holding = null
        return new Answer([event: (Object) "hold", class: which, down: false], which)
    }

    /** The window lost the keys, or the session pauses: what is held ends; on stop what is toggled, too. */
    List<Answer> interrupted(boolean stopping) {
        List<Answer> ended = []
        Answer hold = released(keys.hold)
        if (hold != null)
            ended << hold
        if (stopping && toggled != null)
            ended << pressed(keys.toggle)
        return ended
    }

    private static int digit(String name) {
        if (name.startsWith("DIGIT") && name.length() == 6)
            return Character.digit(name.charAt(5), 10)
        if (name.startsWith("NUMPAD") && name.length() == 7)
            return Character.digit(name.charAt(6), 10)
        return 0
    }
}
