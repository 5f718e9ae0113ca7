package qupath.lib.gui.prefs;

import javafx.beans.property.BooleanProperty;
import javafx.beans.property.ObjectProperty;
import javafx.beans.property.StringProperty;

import java.util.prefs.Preferences;

public class PathPrefs {
    private PathPrefs() {}
    public static native ObjectProperty<String> userPathProperty();
    public static native StringProperty startupScriptProperty();
    public static native BooleanProperty runStartupScriptProperty();
    public static native Preferences getUserPreferences();
    public static native boolean savePreferences();
}
