package qupath.lib.gui.prefs;

import javafx.beans.property.BooleanProperty;
import javafx.beans.property.StringProperty;

public class PathPrefs {
    private PathPrefs() {}
    public static native StringProperty userPathProperty();
    public static native StringProperty startupScriptProperty();
    public static native boolean savePreferences();
}
