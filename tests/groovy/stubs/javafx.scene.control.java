package javafx.scene.control;

import javafx.collections.ObservableList;
import javafx.event.ActionEvent;
import javafx.event.EventHandler;
import javafx.event.EventTarget;
import javafx.scene.Parent;

public abstract class Control extends Parent {}

public class Label extends Control {
    public Label() {}
    public final native void setText(String text);
}

public class Slider extends Control {}

public abstract class TextInputControl extends Control {}

public class ToggleGroup {}

public class MenuItem implements EventTarget {
    public MenuItem(String text) {}
    public final native String getText();
    public final native void setText(String text);
    public final native void setDisable(boolean value);
    public final native void setMnemonicParsing(boolean value);
    public final native void setOnAction(EventHandler<ActionEvent> work);
}

public class SeparatorMenuItem extends MenuItem {
    public SeparatorMenuItem() {
        super(null);
    }
}

public class CheckMenuItem extends MenuItem {
    public CheckMenuItem(String text) {
        super(text);
    }
    public final native boolean isSelected();
    public final native void setSelected(boolean value);
}

public class RadioMenuItem extends MenuItem {
    public RadioMenuItem(String text) {
        super(text);
    }
    public final native void setSelected(boolean value);
    public final native void setToggleGroup(ToggleGroup group);
}

public class Menu extends MenuItem {
    public Menu(String text) {
        super(text);
    }
    public final native ObservableList<MenuItem> getItems();
}
